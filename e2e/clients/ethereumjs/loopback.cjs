// ethereumjs listens for peers on every address, whatever one tells it. With this file preloaded it listens on 127.0.0.1.
const { Server } = require('node:net')
const listen = Server.prototype.listen

const everywhere = (host) => host === undefined || host === '0.0.0.0' || host === '::'

Server.prototype.listen = function (port, ...rest) {
  if (typeof port === 'number') {
    const host = typeof rest[0] === 'string' ? rest.shift() : undefined
    return listen.call(this, port, everywhere(host) ? '127.0.0.1' : host, ...rest)
  }
  if (port !== null && typeof port === 'object' && 'port' in port && everywhere(port.host)) {
    return listen.call(this, { ...port, host: '127.0.0.1' }, ...rest)
  }
  return listen.call(this, port, ...rest)
}
