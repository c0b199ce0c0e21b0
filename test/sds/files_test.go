package sds

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weirproxy/weir/config"
)

// volume is a folder as Kubernetes mounts secrets: files are links through ..data, which is swapped.
type volume struct {
	w   *world
	dir string
	n   int
}

func (w *world) volume(files map[string]string) *volume {
	w.t.Helper()
	v := &volume{w: w, dir: w.t.TempDir()}
	v.swap(files)
	for name := range files {
		w.must(os.Symlink(filepath.Join("..data", name), v.at(name)))
	}
	return v
}

func (v *volume) at(name string) string { return filepath.Join(v.dir, name) }

func (v *volume) swap(files map[string]string) {
	v.w.t.Helper()
	v.n++
	version := fmt.Sprintf("..%d", v.n)
	v.w.must(os.Mkdir(v.at(version), 0o700))
	for name, text := range files {
		v.w.must(os.WriteFile(filepath.Join(v.at(version), name), []byte(text), 0o600))
	}
	v.w.must(os.Symlink(version, v.at("..tmp")))
	v.w.must(os.Rename(v.at("..tmp"), v.at("..data")))
	if v.n > 1 {
		v.w.must(os.RemoveAll(v.at(fmt.Sprintf("..%d", v.n-1))))
	}
}

func (p pair) files() map[string]string {
	return map[string]string{"tls.crt": p.cert, "tls.key": p.key}
}

// waitSerial waits until new handshakes are shown a certificate. The log tells of every reading.
func (w *world) waitSerial(listener string, p pair) {
	w.t.Helper()
	w.wait(fmt.Sprintf("certificate %d", p.serial), func() bool { return w.serial(listener) == p.serial })
}

// Files that a secret names are read again when the volume's link is swapped, with a watched_directory and without.
func TestVolumeSwap(t *testing.T) {
	for _, watched := range []bool{false, true} {
		t.Run(fmt.Sprintf("watched_directory %v", watched), func(t *testing.T) {
			w := newWorld(t, options{})
			p := w.ca.issue("a.example")
			v := w.volume(p.files())
			c := &tlsv3.TlsCertificate{CertificateChain: file(v.at("tls.crt")), PrivateKey: file(v.at("tls.key"))}
			if watched {
				c.WatchedDirectory = &corev3.WatchedDirectory{Path: v.dir}
			}
			w.push("", w.listener("in", byADS("server")), &tlsv3.Secret{Name: "server", Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: c}})
			w.wait("the listener", func() bool { return w.at("in") != "" })
			for range 3 {
				w.waitSerial("in", p)
				p = w.ca.issue("a.example")
				v.swap(p.files())
			}
			w.waitSerial("in", p)
			if n := w.stat("sds.server.key_rotation_failed"); n != 0 {
				t.Errorf("key_rotation_failed is %d", n)
			}
		})
	}
}

// A certificate without its key is not taken: the old pair serves, the failure is counted, and the key completes it.
func TestHalfWrittenPair(t *testing.T) {
	w := newWorld(t, options{})
	old, next := w.ca.issue("a.example"), w.ca.issue("a.example")
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		w.must(os.WriteFile(path+".new", []byte(text), 0o600))
		w.must(os.Rename(path+".new", path))
	}
	put("tls.crt", old.cert)
	put("tls.key", old.key)
	w.push("", w.listener("in", byADS("server")), &tlsv3.Secret{Name: "server", Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
		CertificateChain: file(filepath.Join(dir, "tls.crt")), PrivateKey: file(filepath.Join(dir, "tls.key")),
	}}})
	w.wait("the listener", func() bool { return w.at("in") != "" })
	put("tls.crt", next.cert)
	w.wait("the failure", func() bool { return w.stat("sds.server.key_rotation_failed") > 0 })
	if got := w.serial("in"); got != old.serial {
		t.Errorf("serial %d, want the old %d", got, old.serial)
	}
	put("tls.key", next.key)
	w.waitSerial("in", next)
	for _, p := range []pair{old, next} {
		for _, s := range p.shown() {
			if strings.Contains(w.logs(), s) {
				t.Error("the log shows a key")
			}
		}
	}
}

// A secret may come from a file of its own, in the form of Envoy's file subscriptions or by itself.
func TestSecretFile(t *testing.T) {
	for _, form := range []string{"resources:\n- %s", "%s"} {
		t.Run(strings.Fields(form)[0], func(t *testing.T) {
			w := newWorld(t, options{})
			text := func(p pair) map[string]string {
				return map[string]string{"sds.yaml": fmt.Sprintf(form, fmt.Sprintf(
					`{"@type": %q, name: server, tls_certificate: {certificate_chain: {inline_string: %q}, private_key: {inline_string: %q}}}`,
					config.SecretURL, p.cert, p.key))}
			}
			p := w.ca.issue("a.example")
			v := w.volume(text(p))
			in := w.listener("in", `"common_tls_context":{"tls_certificate_sds_secret_configs":[{"name":"server","sds_config":{
				"path_config_source":{"path":"`+v.at("sds.yaml")+`","watched_directory":{"path":"`+v.dir+`"}}}}]}`)
			w.must(w.srv.SetResources(in))
			w.wait("the listener", func() bool { return w.at("in") != "" })
			w.waitSerial("in", p)
			p = w.ca.issue("a.example")
			v.swap(text(p))
			w.waitSerial("in", p)
			v.swap(map[string]string{"sds.yaml": "garbage"})
			w.wait("the refusal", func() bool { return strings.Contains(w.logs(), "sds.yaml:1:1") })
			if got := w.serial("in"); got != p.serial {
				t.Errorf("serial %d", got)
			}
			p = w.ca.issue("a.example")
			v.swap(text(p))
			w.waitSerial("in", p)
		})
	}
}

// A secret may come by a stream of its own, to the control plane that its reference names.
func TestOwnStream(t *testing.T) {
	w := newWorld(t, options{})
	p := w.ca.issue("a.example")
	in := w.listener("in", `"common_tls_context":{"tls_certificate_sds_secret_configs":[{"name":"server","sds_config":{
		"api_config_source":{"api_type":"GRPC","transport_api_version":"V3","grpc_services":[{"envoy_grpc":{"cluster_name":"agent"}}]}}}]}`)
	w.push("", in, p.secret("server"))
	w.wait("the listener", func() bool { return w.at("in") != "" })
	w.waitSerial("in", p)
	p = w.ca.issue("a.example")
	w.push("", in, p.secret("server"))
	if got := w.serial("in"); got != p.serial {
		t.Errorf("serial %d", got)
	}
	if !strings.Contains(w.get("/xds"), "cluster agent") {
		t.Error("/xds does not show the stream")
	}
	w.must(w.srv.SetResources())
	w.wait("the stream's end", func() bool { return len(w.xds.Status().Sources) == 1 })
}

// A secret of the bootstrap is named without a source.
func TestStaticSecret(t *testing.T) {
	boot := &world{t: t, ca: newAuthority(t)}
	p := boot.ca.issue("a.example")
	a, err := anypb.New(p.secret("boot"))
	boot.must(err)
	r, err := boot.decoder(nil).Decode(config.SecretURL, a, true)
	boot.must(err)
	w := newWorld(t, options{static: []*config.Resource{r}, statics: []string{"boot"}})
	w.ca = boot.ca
	const byName = `"common_tls_context":{"tls_certificate_sds_secret_configs":[{"name":"%s"}]}`
	w.must(w.srv.SetResources(w.listener("in", fmt.Sprintf(byName, "boot")), w.listener("wrong", fmt.Sprintf(byName, "none"))))
	w.wait("the listener", func() bool { return w.at("in") != "" })
	if got := w.serial("in"); got != p.serial {
		t.Errorf("serial %d", got)
	}
	w.wait("the refusal", func() bool {
		return strings.Contains(w.logs(), `listener "wrong": secret "none" is not in the bootstrap`)
	})
}
