package tlsctx

import (
	"crypto/tls"
	"strings"
)

// versionName is Envoy's spelling (DOWNSTREAM_TLS_VERSION).
func versionName(v uint16) string {
	switch v {
	case tls.VersionTLS12:
		return "TLSv1.2"
	case tls.VersionTLS13:
		return "TLSv1.3"
	case tls.VersionTLS11:
		return "TLSv1.1"
	}
	return "TLSv1"
}

// A suite is one cipher suite under the name that OpenSSL and Envoy give it.
type suite struct {
	name string
	id   uint16
}

// suites are those that can be chosen. Those of TLS 1.3 are last; which of them is used is not to be configured.
var suites = [...]suite{
	{"ECDHE-ECDSA-AES128-GCM-SHA256", tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	{"ECDHE-RSA-AES128-GCM-SHA256", tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
	{"ECDHE-ECDSA-AES256-GCM-SHA384", tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384},
	{"ECDHE-RSA-AES256-GCM-SHA384", tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384},
	{"ECDHE-ECDSA-CHACHA20-POLY1305", tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256},
	{"ECDHE-RSA-CHACHA20-POLY1305", tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256},
	{"ECDHE-ECDSA-AES128-SHA", tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA},
	{"ECDHE-RSA-AES128-SHA", tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA},
	{"ECDHE-ECDSA-AES256-SHA", tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA},
	{"ECDHE-RSA-AES256-SHA", tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA},
	{"ECDHE-RSA-AES128-SHA256", tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256},
	{"AES128-GCM-SHA256", tls.TLS_RSA_WITH_AES_128_GCM_SHA256},
	{"AES256-GCM-SHA384", tls.TLS_RSA_WITH_AES_256_GCM_SHA384},
	{"AES128-SHA", tls.TLS_RSA_WITH_AES_128_CBC_SHA},
	{"AES256-SHA", tls.TLS_RSA_WITH_AES_256_CBC_SHA},
	{"TLS_AES_128_GCM_SHA256", tls.TLS_AES_128_GCM_SHA256},
	{"TLS_AES_256_GCM_SHA384", tls.TLS_AES_256_GCM_SHA384},
	{"TLS_CHACHA20_POLY1305_SHA256", tls.TLS_CHACHA20_POLY1305_SHA256},
}

// ParseSuite finds a cipher suite by OpenSSL's or IANA's name. One of TLS 1.3 is known but not to be listed.
func ParseSuite(name string) (id uint16, tls13, ok bool) {
	for _, s := range suites {
		if strings.EqualFold(s.name, name) || strings.EqualFold(tls.CipherSuiteName(s.id), name) {
			return s.id, strings.HasPrefix(s.name, "TLS_"), true
		}
	}
	return 0, false, false
}

// SuiteNames lists the names that cipher_suites may have, for messages.
func SuiteNames() []string {
	out := make([]string, 0, len(suites))
	for _, s := range suites {
		out = append(out, s.name)
	}
	return out
}

// suiteIndex gives the place of a suite in the table; -1 for one that is not in it.
func suiteIndex(id uint16) int {
	for i := range suites {
		if suites[i].id == id {
			return i
		}
	}
	return -1
}

func suiteName(id uint16) string {
	if i := suiteIndex(id); i >= 0 {
		return suites[i].name
	}
	return tls.CipherSuiteName(id)
}

// A curve is a key exchange under BoringSSL's name.
type curve struct {
	name string
	id   tls.CurveID
}

var curves = [...]curve{
	{"X25519MLKEM768", tls.X25519MLKEM768},
	{"X25519", tls.X25519},
	{"P-256", tls.CurveP256},
	{"P-384", tls.CurveP384},
	{"P-521", tls.CurveP521},
	{"SecP256r1MLKEM768", tls.SecP256r1MLKEM768},
	{"SecP384r1MLKEM1024", tls.SecP384r1MLKEM1024},
}

// ParseCurve finds a key exchange by the name that Envoy takes: BoringSSL's, or OpenSSL's for the curves of NIST.
func ParseCurve(name string) (tls.CurveID, bool) {
	switch strings.ToLower(name) {
	case "prime256v1", "secp256r1":
		name = "P-256"
	case "secp384r1":
		name = "P-384"
	case "secp521r1":
		name = "P-521"
	}
	for _, c := range curves {
		if c.name == name {
			return c.id, true
		}
	}
	return 0, false
}

// CurveNames lists the names that ecdh_curves may have, for messages.
func CurveNames() []string {
	out := make([]string, 0, len(curves))
	for _, c := range curves {
		out = append(out, c.name)
	}
	return out
}

func curveIndex(id tls.CurveID) int {
	for i := range curves {
		if curves[i].id == id {
			return i
		}
	}
	return -1
}
