package tlsctx

import (
	"errors"
	"io"
	"os"
)

// failure says in the way of Envoy's DOWNSTREAM_TRANSPORT_FAILURE_REASON why a handshake came to nothing. The words are Go's, not
// BoringSSL's.
func failure(err error) string {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "TLS_error:|handshake timeout:TLS_error_end"
	case errors.Is(err, io.EOF):
		return "TLS_error:|peer closed the connection:TLS_error_end"
	}
	return "TLS_error:|" + err.Error() + ":TLS_error_end"
}
