package main

import (
	"path/filepath"
	"strings"
)

// recordings is the table of everything that is recorded. The programs under
// clients start a handshake and give up; a certificate is never shown to them.
func recordings(clients, rs string) []recording {
	var (
		openssl = []string{"openssl", "version"}
		python  = []string{"python3", "-c", "import sys,ssl;print('Python',sys.version.split()[0],'with',ssl.OPENSSL_VERSION)"}
		node    = []string{"node", "-p", "'Node '+process.version+' with OpenSSL '+process.versions.openssl"}
		java    = []string{"java", "-version"}
		curl    = []string{"curl", "--version"}
		wget    = []string{"wget", "--version"}
		git     = []string{"git", "version"}
		rust    = []string{"echo", "rustls 0.23.31 with ring"}

		py, js = filepath.Join(clients, "hello.py"), filepath.Join(clients, "hello.js")
		jv     = filepath.Join(clients, "Hello.java")

		connect = []string{"openssl", "s_client", "-connect", "127.0.0.1:PORT"}
		resolve = serverName + ":PORT:127.0.0.1"
		url     = "https://" + serverName + ":PORT/"
	)
	program := func(name string, version []string, args ...string) recording {
		return command(clients, name, version, args...)
	}
	sclient := func(name string, args ...string) recording {
		return program(name, openssl, append(connect[:len(connect):len(connect)], args...)...)
	}
	table := []recording{
		sclient("openssl-default", "-servername", serverName),
		sclient("openssl-alpn", "-servername", serverName, "-alpn", "h2,http/1.1"),
		sclient("openssl-tls12", "-servername", serverName, "-tls1_2"),
		sclient("openssl-tls13", "-servername", serverName, "-tls1_3"),
		sclient("openssl-tls10", "-servername", serverName, "-tls1", "-cipher", "DEFAULT@SECLEVEL=0"),
		sclient("openssl-nosni", "-noservername"),
		sclient("openssl-uppercase", "-servername", "Hello.Weir.TEST"),
		sclient("openssl-dot", "-servername", serverName+"."),
		sclient("openssl-records", "-servername", serverName, "-max_send_frag", "512", "-alpn", manyProtocols()),

		program("python-default", python, "python3", py, "PORT", serverName),
		program("python-alpn", python, "python3", py, "PORT", serverName, "h2", "http/1.1"),
		program("python-address", python, "python3", py, "PORT", "127.0.0.1"),

		program("node-default", node, "node", js, "PORT", serverName),
		program("node-alpn", node, "node", js, "PORT", serverName, "h2", "http/1.1"),

		program("java-default", java, "java", jv, "PORT", serverName),
		program("java-alpn", java, "java", jv, "PORT", serverName, "h2", "http/1.1"),
		program("java-tls12", java, "java", "-Djdk.tls.client.protocols=TLSv1.2", jv, "PORT", serverName),

		program("curl-default", curl, "curl", "-s", "--resolve", resolve, url),
		program("curl-http1", curl, "curl", "-s", "--http1.1", "--resolve", resolve, url),
		program("curl-h2-prior", curl, "curl", "-s", "--http2-prior-knowledge", "--resolve", resolve, url),
		program("curl-address", curl, "curl", "-s", "https://127.0.0.1:PORT/"),

		program("wget-gnutls", wget, "wget", "-q", "-t", "1", "-O", "-", "https://localhost:PORT/"),
		program("git-gnutls", git, "git", "-c", "http.curloptResolve="+resolve, "ls-remote", url),

		program("rustls-default", rust, rs, "PORT", serverName),
		program("rustls-alpn", rust, rs, "PORT", serverName, "h2", "http/1.1"),
	}
	return append(table, goRecordings()...)
}

// manyProtocols is an ALPN list long enough for the hello to outgrow a record
// of 512 bytes.
func manyProtocols() string {
	var names []string
	for _, c := range "abcdefgh" {
		names = append(names, strings.Repeat(string(c), 60))
	}
	return strings.Join(append(names, "http/1.1"), ",")
}
