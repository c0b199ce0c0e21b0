package intercept

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/weirproxy/weir/test/netns"
)

// ownerEnv makes the test binary hold a resident interception until it is killed.
const ownerEnv = "WEIR_TEST_OWNER"

// guardEnv makes it guard the rules of its parent.
const guardEnv = "WEIR_TEST_GUARD"

func TestMain(m *testing.M) {
	if os.Getenv(guardEnv) != "" {
		guardMain()
	}
	if os.Getenv(ownerEnv) != "" {
		ownerMain() // already inside a namespace
	}
	_ = netns.Enter() // netns.Start repeats the reason
	goleak.VerifyTestMain(m)
}
