package intercept

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/weirproxy/weir/test/netns"
)

// ownerEnv makes the test binary hold a resident interception until it is killed.
const ownerEnv = "WEIR_TEST_OWNER"

func TestMain(m *testing.M) {
	if os.Getenv(ownerEnv) != "" {
		ownerMain() // already inside a namespace
	}
	_ = netns.Enter() // netns.Start repeats the reason
	goleak.VerifyTestMain(m)
}
