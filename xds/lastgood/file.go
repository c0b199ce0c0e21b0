package lastgood

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// The file is two lines and a body:
//
//	weir last known good 1 SHA256     of all that follows, in hexadecimal
//	{"saved": …, "node": …, …}        who wrote it, and what was left out
//	body                              for each type a DeltaDiscoveryResponse (type_url; name, version and resource of each; as an alias, its
//	                                  key in the snapshot if that is another),
//	                                  after its length as a varint; encrypted with AES-256-GCM when there is a key, the line
//	                                  before it being authenticated too
const magic = "weir last known good "

// format is the version of the file's format that is written, and the only one that is read.
const format = "1"

// header is the second line.
type header struct {
	Saved time.Time `json:"saved"`
	Owner
	Encrypted bool     `json:"encrypted"`
	LeftOut   []string `json:"left_out,omitempty"`
}

// Errors that callers tell apart.
var (
	ErrCorrupt = errors.New("is corrupt")
	ErrForeign = errors.New("is not ours")
	ErrKey     = errors.New("cannot be decrypted")
)

// A Key encrypts files. It prints as nothing.
type Key struct{ aead cipher.AEAD }

// minKey is how many bytes a key is made of at least.
const minKey = 32

// NewKey makes a key of random bytes, at least 32.
func NewKey(secret []byte) (*Key, error) {
	if len(secret) < minKey {
		return nil, fmt.Errorf("a key has %d bytes or more, this one %d", minKey, len(secret))
	}
	k, err := hkdf.Key(sha256.New, secret, nil, "weir last known good", 32)
	if err != nil {
		return nil, err
	}
	b, err := aes.NewCipher(k)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(b)
	if err != nil {
		return nil, err
	}
	return &Key{aead}, nil
}

// String implements fmt.Stringer.
func (*Key) String() string { return "key" }

// Encode writes a file. A nil key encrypts nothing.
func Encode(s *State, key *Key) ([]byte, error) {
	line, err := json.Marshal(header{s.Saved.UTC(), s.Owner, key != nil, s.LeftOut})
	if err != nil {
		return nil, err
	}
	line = append(line, '\n')
	var body []byte
	for _, t := range s.Types {
		m := &discoveryv3.DeltaDiscoveryResponse{TypeUrl: t.TypeURL}
		for _, r := range t.Resources {
			e := &discoveryv3.Resource{Name: r.Name, Version: r.Version, Resource: r.Any}
			if r.Key != "" {
				e.Aliases = []string{r.Key}
			}
			m.Resources = append(m.Resources, e)
		}
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			return nil, err
		}
		body = protowire.AppendBytes(body, b)
	}
	if key != nil {
		body = key.aead.Seal(nil, nil, body, line)
	}
	sum := sha256.New()
	sum.Write(line)
	sum.Write(body)
	out := make([]byte, 0, len(magic)+80+len(line)+len(body))
	out = append(out, magic+format+" "+hex.EncodeToString(sum.Sum(nil))+"\n"...)
	return append(append(out, line...), body...), nil
}

// Decode reads a file.
func Decode(data []byte, key *Key) (*State, error) {
	first, rest, ok := bytes.Cut(data, []byte("\n"))
	name, ours := strings.CutPrefix(string(first[:min(len(first), 256)]), magic)
	version, want, _ := strings.Cut(name, " ")
	switch {
	case !ok || !ours:
		return nil, fmt.Errorf("%w: it does not begin with %q", ErrCorrupt, strings.TrimSpace(magic))
	case version != format:
		return nil, fmt.Errorf("%w: its format is %q, this program reads %q", ErrForeign, version, format)
	}
	if sum := sha256.Sum256(rest); hex.EncodeToString(sum[:]) != want {
		return nil, fmt.Errorf("%w: its checksum is wrong", ErrCorrupt)
	}
	line, body, ok := bytes.Cut(rest, []byte("\n"))
	var h header
	if err := json.Unmarshal(line, &h); !ok || err != nil {
		return nil, fmt.Errorf("%w: its second line is not JSON", ErrCorrupt)
	}
	if h.Encrypted {
		if key == nil {
			return nil, fmt.Errorf("%w: there is no key", ErrKey)
		}
		plain, err := key.aead.Open(nil, nil, body, rest[:len(line)+1])
		if err != nil {
			return nil, fmt.Errorf("%w: the key is another", ErrKey)
		}
		body = plain
	}
	s := &State{Saved: h.Saved, Owner: h.Owner, LeftOut: h.LeftOut}
	for len(body) > 0 {
		b, n := protowire.ConsumeBytes(body)
		if n < 0 {
			return nil, fmt.Errorf("%w: its body is cut", ErrCorrupt)
		}
		t, err := decodeType(b)
		if err != nil {
			return nil, err
		}
		s.Types, body = append(s.Types, t), body[n:]
	}
	return s, nil
}

func decodeType(b []byte) (Type, error) {
	m := &discoveryv3.DeltaDiscoveryResponse{}
	if err := proto.Unmarshal(b, m); err != nil {
		return Type{}, fmt.Errorf("%w: its body: %w", ErrCorrupt, err)
	}
	t := Type{TypeURL: m.GetTypeUrl()}
	for _, r := range m.GetResources() {
		if r.GetResource() == nil {
			return Type{}, fmt.Errorf("%w: %q of %s is empty", ErrCorrupt, r.GetName(), m.GetTypeUrl())
		}
		e := Resource{Name: r.GetName(), Version: r.GetVersion(), Any: r.GetResource()}
		if len(r.GetAliases()) > 0 {
			e.Key = r.GetAliases()[0]
		}
		t.Resources = append(t.Resources, e)
	}
	return t, nil
}
