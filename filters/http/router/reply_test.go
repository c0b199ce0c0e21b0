package router

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/weirproxy/weir/proxy/upstream"
)

func TestReasonOfAFailedConnection(t *testing.T) {
	for _, c := range []struct {
		err             error
		reason, details string
	}{
		{
			fmt.Errorf("dial: %w", os.NewSyscallError("connect", syscall.ECONNREFUSED)), "delayed connect error: Connection refused",
			"d{f|delayed_connect_error:_Connection_refused}",
		},
		{syscall.EHOSTUNREACH, "delayed connect error: No route to host", "d{f|delayed_connect_error:_No_route_to_host}"},
		{errors.New("tls: bad\r\ncertificate"), "tls: bad\r\ncertificate", "d{f|tls:_bad__certificate}"},
	} {
		if got := connectReason(c.err); got != c.reason {
			t.Errorf("%v: reason %q, want %q", c.err, got, c.reason)
		}
		if got := withReason("d{f}", c.reason); got != c.details {
			t.Errorf("%v: details %q, want %q", c.err, got, c.details)
		}
	}
}

func TestReplyToADrop(t *testing.T) {
	for _, c := range []struct {
		err           *upstream.Error
		flag, details string
		body          string
	}{
		{upstream.ErrDropped, "DO", "drop_overload", "drop overload"},
		{upstream.ErrDroppedAll, "UDO", "unconditional_drop_overload", "unconditional drop overload"},
	} {
		r := replyFor(c.err, noTimeout)
		if c.err.Flag.String() != c.flag || r != (failure{503, c.details, c.body}) {
			t.Errorf("%v: %v %+v", c.err, c.err.Flag, r)
		}
	}
}
