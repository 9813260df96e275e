package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"time"
)

// The proxies that everybody has, before one node: each in one process, without logs, with kept connections, and
// streaming.

func startNginx(ctx context.Context, node string) (*process, string, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, "", err
	}
	return startProxy(ctx, "nginx", address, file("nginx.conf"), `
daemon off; master_process off; pid `+file("nginx.pid")+`; error_log `+file("nginx.log")+`;
events { worker_connections 1024; }
http {
	access_log off; client_max_body_size 0; keepalive_requests 1000000000;
	client_body_temp_path `+file("nginx-body")+`; proxy_temp_path `+file("nginx-proxy")+`;
	fastcgi_temp_path `+file("nginx-fastcgi")+`; uwsgi_temp_path `+file("nginx-uwsgi")+
		`; scgi_temp_path `+file("nginx-scgi")+`;
	upstream node { server `+node+`; keepalive 64; keepalive_requests 1000000000; }
	server {
		listen `+address+`;
		location / {
			proxy_pass http://node; proxy_http_version 1.1; proxy_set_header Connection "";
			proxy_request_buffering off; proxy_buffering off; proxy_buffer_size 64k; proxy_buffers 8 64k;
			client_body_buffer_size 256k;
		}
	}
}`, "-c")
}

func startHAProxy(ctx context.Context, node string) (*process, string, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, "", err
	}
	return startProxy(ctx, "haproxy", address, file("haproxy.cfg"), `
defaults
	mode http
	timeout client 60s
	timeout server 60s
	timeout connect 5s
	option http-keep-alive
	http-reuse always
listen node
	bind `+address+`
	server node `+node+"\n", "-db", "-f")
}

// startProxy returns a nil process where the program isn't installed.
func startProxy(ctx context.Context, name, address, config, text string, args ...string) (*process, string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/" + name); err != nil {
			return nil, "", nil
		}
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, "", err
	}
	p, err := start(path, append(args, config)...)
	if err != nil {
		return nil, "", err
	}
	for range 500 {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			return p, address, conn.Close()
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return p, "", ctx.Err()
		}
	}
	return p, "", context.DeadlineExceeded
}
