package interop

import (
	"testing"

	"github.com/weirproxy/weir/test/rig"
)

// TestEarlyResponseOfCurl: a response that comes while the request is on its way is
// no failure to curl, however the two meet.
func TestEarlyResponseOfCurl(t *testing.T) {
	curl := rig.Command(t, "curl")
	r := rig.New(t, rig.Options{HCM: `
stat_prefix: test
http_filters: [$router]
route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, direct_response: {status: 200, body: {inline_string: early}}}]}]}
`})
	for range 60 {
		out, err := rig.Run(t, limit, curl, "-sS", "--http2-prior-knowledge", "-d", "a small body", "http://"+r.Addr+"/")
		if err != nil || out != "early" {
			t.Errorf("%v: %s", err, out)
		}
	}
}
