// driver.mjs URL SECRET BLOCKS SECONDS: the Engine API client of Lodestar's beacon node as the consensus client of a chain
// that is Fulu from genesis on, with a block in every slot of so many seconds. SECRET is hexadecimal.
//
// As Lodestar does, it asks for the payload when the slot begins, imports it, makes it the head, and has the next one built
// when two thirds of the slot are over. It prints a JSON object a line: building (the number of the block), slot (with its
// block, or why it failed), state (what Lodestar takes the execution client for, when that changes), last (what it knows at
// the end).
import { createHash } from 'node:crypto'
import { register } from 'node:module'
import { setTimeout as sleep } from 'node:timers/promises'
import { fromHex, toHex } from '@lodestar/utils'

// Of all that execution/index.js brings along, metadata.js wants the codes of clients alone. The rest needs packages that
// the registry doesn't have.
register('data:text/javascript,' + encodeURIComponent(`
  export const resolve = (name, context, next) =>
    name === '../execution/index.js' && context.parentURL.endsWith('/util/metadata.js')
      ? next('../execution/engine/interface.js', context)
      : next(name, context)`))
const engineOf = './node_modules/@lodestar/beacon-node/lib/execution/engine/'
const { ExecutionEngineHttp, defaultExecutionEngineHttpOpts } = await import(engineOf + 'http.js')
const { JsonRpcHttpClient } = await import(engineOf + 'jsonRpcHttpClient.js')

const [url, secret, blocks, seconds] = process.argv.slice(2)
const fork = 'fulu'
const print = (line) => console.log(JSON.stringify(line))
const log = (message, context) => context?.newState && print({ state: context.newState })
const logger = { debug() {}, verbose() {}, info: log, warn: log, error: log }
const signal = new AbortController().signal
const rpc = new JsonRpcHttpClient([url], { ...defaultExecutionEngineHttpOpts, signal, jwtSecret: fromHex(secret) })
const engine = new ExecutionEngineHttp(rpc, { signal, logger }, { version: 'v1.44.0', commit: '00000000' })

const genesis = await rpc.fetch({ method: 'eth_getBlockByNumber', params: ['latest', false] })
const chain = [genesis.hash]
const back = (n) => chain[Math.max(0, chain.length - 1 - n)] // n blocks before the head

let took = {} // milliseconds, by call, since the last block
const timed = async (call, promise) => {
  const begun = performance.now()
  try {
    return await promise
  } finally {
    took[call] = performance.now() - begun
  }
}

const slot = Number(seconds)
let time = Math.ceil(Date.now() / 1000 / slot) * slot + slot // when the next slot begins, which is its block's timestamp
const until = (second) => sleep(second * 1000 - Date.now())
const head = (attributes) => engine.notifyForkchoiceUpdate(fork, back(0), back(4), back(8), attributes)
const attributes = () => ({
  timestamp: time,
  prevRandao: new Uint8Array(32).fill(chain.length),
  suggestedFeeRecipient: '0x' + 'fe'.repeat(20),
  withdrawals: [],
  parentBeaconBlockRoot: new Uint8Array(32).fill(chain.length)
})
const versionedHash = (commitment) => {
  const hash = createHash('sha256').update(commitment).digest()
  hash[0] = 1
  return Uint8Array.from(hash)
}

// importBlock makes the block that was ordered the head.
const importBlock = async (order, id) => {
  const { executionPayload: payload, blobsBundle, executionRequests: requests } =
    await timed('getPayload', engine.getPayload(fork, id))
  const hashes = (blobsBundle?.commitments ?? []).map(versionedHash)
  const [status, blobs] = await Promise.all([
    timed('newPayload', engine.notifyNewPayload(fork, payload, hashes, order.parentBeaconBlockRoot, requests)),
    hashes.length > 0 && timed('getBlobs', engine.getBlobs(fork, hashes)) // as of another proposer's block
  ])
  if (status.status !== 'VALID') {
    throw Error('newPayload: ' + JSON.stringify(status))
  }
  chain.push(toHex(payload.blockHash))
  await timed('forkchoiceUpdated', head())
  return { hash: back(0), transactions: payload.transactions.length, blobs: hashes.length, found: blobs?.length ?? 0 }
}

for (let n = 1; n <= Number(blocks); n++) {
  const made = { slot: n }
  try {
    took = {}
    const order = attributes()
    const id = await timed('prepare', head(order))
    print({ building: n })
    await until(time)
    made.block = await importBlock(order, id)
  } catch (error) {
    made.failed = error.stack
  }
  print({ ...made, took })
  await until(time + slot * 2 / 3)
  time += slot
}

const bodies = await engine.getPayloadBodiesByRange(fork, 1, chain.length - 1)
const [body] = await engine.getPayloadBodiesByHash(fork, [back(0)])
print({
  last: {
    state: engine.state,
    bodies: bodies.map((b) => b?.transactions.length),
    body: body?.transactions.length,
    client: engine.clientVersion?.code
  }
})
process.exit()
