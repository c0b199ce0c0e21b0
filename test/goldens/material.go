package goldens

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// A material is a certificate and its key, to stand where a control plane's tests have words ("cert-data") or a file of their
// own, which no proxy would take.
type material struct{ cert, key string }

func newMaterial() (material, error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return material{}, fmt.Errorf("make a key: %w", err)
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "golden"}, DNSNames: []string{"golden.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, t, t, k.Public(), k)
	if err != nil {
		return material{}, fmt.Errorf("make a certificate: %w", err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return material{}, fmt.Errorf("encode a key: %w", err)
	}
	return material{
		cert: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})),
		key:  string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
	}, nil
}

// fill puts real certificates and keys below a node where there are placeholders.
func (m material) fill(n *yaml.Node) {
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			switch n.Content[i].Value {
			case "certificateChain", "certificate_chain", "trustedCa", "trusted_ca":
				m.source(n.Content[i+1], m.cert)
			case "privateKey", "private_key":
				m.source(n.Content[i+1], m.key)
			}
		}
	}
	for _, c := range n.Content {
		m.fill(c)
	}
}

// source fills one DataSource. A key may be real beside a chain that is not, so both are always replaced.
func (m material) source(n *yaml.Node, pem string) {
	if n.Kind != yaml.MappingNode || len(n.Content) != 2 {
		return
	}
	name, value := n.Content[0], n.Content[1]
	switch name.Value {
	case "filename":
		*name, *value = *text("inline_string"), *text(pem)
	case "inlineString", "inline_string":
		*value = *text(pem)
	case "inlineBytes", "inline_bytes":
		*value = *text(base64.StdEncoding.EncodeToString([]byte(strings.TrimSpace(pem))))
	}
}
