package main

import (
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"runtime"
	"strings"
	"time"
)

// goRecordings are the hellos of Go's own crypto/tls.
func goRecordings() []recording {
	long := strings.Repeat(strings.Repeat("a", 62)+".", 3) + strings.Repeat("b", 61) + ".t"
	return []recording{
		goHello("go-default", "crypto/tls, ServerName", &tls.Config{ServerName: serverName}),
		goHello("go-alpn", "crypto/tls, NextProtos h2 http/1.1", &tls.Config{
			ServerName: serverName, NextProtos: []string{"h2", "http/1.1"},
		}),
		goHello("go-classical", "crypto/tls, CurvePreferences X25519 only", &tls.Config{
			ServerName: serverName, CurvePreferences: []tls.CurveID{tls.X25519},
		}),
		goHello("go-tls12", "crypto/tls, MaxVersion TLS 1.2", &tls.Config{
			ServerName: serverName, MaxVersion: tls.VersionTLS12,
		}),
		goHello("go-tls10", "crypto/tls, TLS 1.0 only", &tls.Config{
			ServerName: serverName, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10,
		}),
		goHello("go-nosni", "crypto/tls, ServerName is an address", &tls.Config{ServerName: "127.0.0.1"}),
		goHello("go-longname", "crypto/tls, ServerName of 252 bytes", &tls.Config{ServerName: long}),
		goRecording("go-ech", "crypto/tls, EncryptedClientHelloConfigList with public name front.weir.test", func(ctx context.Context, conn net.Conn) error {
			list, err := echConfigList("front.weir.test")
			if err != nil {
				return err
			}
			c := &tls.Config{ServerName: serverName, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS13, EncryptedClientHelloConfigList: list}
			return tls.Client(conn, c).HandshakeContext(ctx)
		}),
		goRecording("go-resumed", "crypto/tls, second connection with a session ticket", func(ctx context.Context, conn net.Conn) error {
			c, err := resumable(ctx)
			if err != nil {
				return err
			}
			return tls.Client(conn, c).HandshakeContext(ctx)
		}),
	}
}

// goHello is a recording of a plain configuration.
func goHello(name, how string, config *tls.Config) recording {
	return goRecording(name, how, func(ctx context.Context, conn net.Conn) error {
		return tls.Client(conn, config).HandshakeContext(ctx)
	})
}

// goRecording is a recording of what handshake sends.
func goRecording(name, how string, handshake func(context.Context, net.Conn) error) recording {
	return recording{
		name: name, how: how,
		version: func() string { return "Go " + strings.TrimPrefix(runtime.Version(), "go") },
		start: func(ctx context.Context, port string) error {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", "127.0.0.1:"+port)
			if err != nil {
				return err
			}
			defer conn.Close()
			return handshake(ctx, conn)
		},
	}
}

// echConfigList is an ECHConfigList (RFC 9849 §4) of one config: X25519,
// HKDF-SHA256, AES-128-GCM, with a key made now and thrown away.
func echConfigList(publicName string) ([]byte, error) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	u16 := binary.BigEndian.AppendUint16
	contents := []byte{7}            // config_id
	contents = u16(contents, 0x0020) // DHKEM(X25519, HKDF-SHA256)
	contents = u16(contents, uint16(len(key.PublicKey().Bytes())))
	contents = append(contents, key.PublicKey().Bytes()...)
	contents = u16(u16(u16(contents, 4), 1), 1) // one suite: HKDF-SHA256, AES-128-GCM
	contents = append(contents, 0)              // maximum_name_length
	contents = append(contents, byte(len(publicName)))
	contents = append(contents, publicName...)
	contents = u16(contents, 0) // extensions
	config := append(u16(u16(nil, 0xfe0d), uint16(len(contents))), contents...)
	return append(u16(nil, uint16(len(config))), config...), nil
}

// resumable makes one whole connection to a server of our own and returns the
// client's configuration, which then holds a session.
func resumable(ctx context.Context) (*tls.Config, error) {
	cert, pool, err := selfSigned()
	if err != nil {
		return nil, err
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		return nil, err
	}
	defer ln.Close()
	go func() {
		if conn, err := ln.Accept(); err == nil {
			_, _ = conn.Write([]byte("x")) // carries the ticket along
			conn.Close()
		}
	}()
	config := &tls.Config{ServerName: serverName, RootCAs: pool, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", ln.Addr().String())
	if err != nil {
		return nil, fmt.Errorf("dial own server: %w", err)
	}
	defer conn.Close()
	if _, err := io.ReadAll(conn); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("read from own server: %w", err)
	}
	return config, nil
}

// selfSigned makes a certificate for serverName and a pool that trusts it.
func selfSigned() (tls.Certificate, *x509.CertPool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{serverName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool, nil
}
