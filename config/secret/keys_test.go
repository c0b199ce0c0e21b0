package secret_test

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"testing"

	"github.com/weirproxy/weir/config/secret/secrettest"
)

func rsaKey(t *testing.T, p *secrettest.Pair) *rsa.PrivateKey {
	t.Helper()
	k, ok := p.Key.(*rsa.PrivateKey)
	if !ok {
		t.Fatal("not RSA")
	}
	return k
}

func ecKey(t *testing.T, p *secrettest.Pair) *ecdsa.PrivateKey {
	t.Helper()
	k, ok := p.Key.(*ecdsa.PrivateKey)
	if !ok {
		t.Fatal("not ECDSA")
	}
	return k
}
