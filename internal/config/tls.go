package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"executionbackup/internal/auth"
)

// ReadKeyPair reads a server's certificate, with those that lead from it to its authority, and its key, both in PEM. An
// error has nothing of the key. nil reads with ReadFile.
func ReadKeyPair(certFile, keyFile string, read func(string) ([]byte, error)) (*tls.Certificate, error) {
	if read == nil {
		read = ReadFile
	}
	cert, err := auth.ReadFile(certFile, read)
	if err != nil {
		return nil, err
	}
	key, err := auth.ReadFile(keyFile, read)
	if err != nil {
		return nil, fmt.Errorf("its key: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", certFile, keyFile, err)
	}
	return &pair, nil
}

// ReadCAs returns the system's certificate authorities and those in a file, in PEM. nil reads with ReadFile.
func ReadCAs(file string, read func(string) ([]byte, error)) (*x509.CertPool, error) {
	if read == nil {
		read = ReadFile
	}
	content, err := auth.ReadFile(file, read)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil { // there is none
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("%s has no certificate in PEM", file)
	}
	return pool, nil
}
