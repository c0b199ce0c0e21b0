package buffer

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestBufIsAQueue compares a Buf with a plain slice over random operations.
func TestBufIsAQueue(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var b Buf
		var want []byte
		for range 60 {
			switch r.IntN(6) {
			case 0, 1:
				p := make([]byte, r.IntN(3*Block))
				for i := range p {
					p[i] = byte(r.Uint32())
				}
				b.Append(p)
				want = append(want, p...)
			case 2:
				s := b.Space(1 + r.IntN(Block))
				n := r.IntN(len(s))
				for i := range n {
					s[i] = byte(i)
				}
				want = append(want, s[:n]...)
				b.Commit(n)
			case 3, 4:
				n := r.IntN(b.Len() + 1)
				b.Consume(n)
				want = want[n:]
			case 5:
				if b.Release() != (len(want) == 0) {
					t.Fatal("released what was unread, or kept what was read")
				}
			}
			if b.Len() != len(want) || !bytes.Equal(b.Bytes(), want) {
				t.Fatalf("%d bytes, want %d", b.Len(), len(want))
			}
		}
		b.Discard()
		if b.Holds() {
			t.Fatal("holds memory after Discard")
		}
	}
}

func TestSpaceAfterAnEmptyTail(t *testing.T) {
	var b Buf
	b.Tail()
	b.SetTail([]byte{})
	if n := len(b.Space(10)); n < 10 {
		t.Errorf("%d bytes of room", n)
	}
}

func TestABlockIsTakenAndGivenBackWithoutAllocating(t *testing.T) {
	if racing {
		t.Skip("pools drop things at random under the race detector")
	}
	p := make([]byte, 1000)
	if n := testing.AllocsPerRun(1000, func() {
		var b Buf
		b.Append(p)
		b.Consume(len(p))
		b.Release()
		PutLarge(GetLarge())
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
