// Package interop lets programs of others speak through Weir: the gRPC interop
// client and server, curl, nghttp2's tools, OpenSSL, Node and Python. A test whose
// program is not installed is skipped.
package interop

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

// limit bounds one run of another program.
const limit = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
