package sds

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
)

// Keys are used and shown nowhere: on no admin page, in no log line, in no answer to the control plane; not those that serve, not those
// that were refused, not those that wait. Their certificates are shown.
func TestNothingSecretIsShown(t *testing.T) {
	w := newWorld(t, options{})
	good, refused, half, inFile, waiting := w.ca.issue("a.example"), w.ca.issue("a.example"), w.ca.issue("a.example"),
		w.ca.issue("a.example"), w.ca.issue("a.example")
	keys := []pair{good, refused, half, inFile, waiting}
	v := w.volume(inFile.files())
	onDisk := &tlsv3.Secret{Name: "disk", Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
		CertificateChain: file(v.at("tls.crt")), PrivateKey: file(v.at("tls.key")),
	}}}
	inline := w.listener("inline", `"common_tls_context":{"tls_certificates":[{"certificate_chain":{"filename":"`+v.at("tls.crt")+
		`"},"private_key":{"filename":"`+v.at("tls.key")+`"}}]}`)
	base := []proto.Message{
		w.listener("in", byADS("server")), w.listener("disk", byADS("disk")), w.listener("late", byADS("never")), onDisk, inline,
	}
	w.push("", append(base, good.secret("server"))...)
	w.wait("the listeners", func() bool { return w.at("in") != "" && w.at("disk") != "" && w.at("inline") != "" })
	wrong := refused
	wrong.cert = half.cert
	w.push("secret", append(base, wrong.secret("server"))...)
	wrong.key = half.key[:len(half.key)/2]
	w.push("secret", append(base, wrong.secret("server"))...)
	w.push("secret", append(base, &tlsv3.Secret{Name: "server", Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
		CertificateChain: text(refused.key), PrivateKey: text(refused.cert), // the wrong way round
	}}})...)
	wrong = inFile
	wrong.key = waiting.key
	v.swap(wrong.files())
	w.wait("the failed rotation", func() bool { return w.stat("sds.disk.key_rotation_failed") > 0 })

	show := func(where, what string) {
		t.Helper()
		for _, k := range keys {
			for _, s := range k.shown() {
				if strings.Contains(what, s) {
					t.Errorf("%s shows a key", where)
				}
			}
		}
		if strings.Contains(what, "PRIVATE KEY") {
			t.Errorf("%s shows the frame of a key", where)
		}
	}
	pages := regexp.MustCompile(`(?m)^  (/[\w/]*)`).FindAllStringSubmatch(w.get("/help"), -1)
	if len(pages) < 15 {
		t.Fatalf("%d pages", len(pages))
	}
	for _, p := range pages {
		for _, q := range []string{"", "?format=json", "?include_eds", "?format=prometheus"} {
			if !strings.HasPrefix(p[1], "/debug/") {
				show(p[1]+q, w.get(p[1]+q))
			}
		}
	}
	show("the log", w.logs())
	for _, a := range w.answers {
		show("an answer", a.Err)
	}

	dump := w.get("/config_dump?mask=dynamic_active_secrets,dynamic_warming_secrets")
	for _, want := range []string{`"name": "server"`, `"name": "disk"`, `"name": "never"`, `"[redacted]"`, `"error_state"`, "certificate_chain"} {
		if !strings.Contains(dump, want) {
			t.Errorf("the dump of secrets has not %s:\n%s", want, dump)
		}
	}
	certs := w.get("/certs")
	for _, want := range []string{filepath.Join(v.dir, "tls.crt"), `"<inline>"`, `"a.example"`} {
		if !strings.Contains(certs, want) {
			t.Errorf("/certs has not %s:\n%s", want, certs)
		}
	}
	if t.Failed() {
		t.Log(w.logs())
	}
}
