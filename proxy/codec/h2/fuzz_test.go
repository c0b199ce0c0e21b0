package h2

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/netio"
)

// seed makes frames with a Framer.
func seed(f func(*http2.Framer, func(...string) []byte)) []byte {
	var b, blk bytes.Buffer
	enc := hpack.NewEncoder(&blk)
	fr := http2.NewFramer(&b, nil)
	fr.AllowIllegalWrites = true
	_ = fr.WriteSettings()
	f(fr, func(kv ...string) []byte {
		blk.Reset()
		for i := 0; i < len(kv); i += 2 {
			_ = enc.WriteField(hpack.HeaderField{Name: kv[i], Value: kv[i+1]})
		}
		return bytes.Clone(blk.Bytes())
	})
	return b.Bytes()
}

// FuzzServer: whatever a client sends, the server neither panics nor stays, and
// keeps no stream.
func FuzzServer(f *testing.F) {
	f.Add(seed(func(fr *http2.Framer, b func(...string) []byte) {
		_ = fr.WriteHeaders(http2.HeadersFrameParam{
			StreamID: 1, EndHeaders: true, EndStream: true,
			BlockFragment: b(":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/"),
		})
		_ = fr.WritePing(false, [8]byte{1})
	}), uint16(7))
	f.Add(seed(func(fr *http2.Framer, b func(...string) []byte) {
		_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: b(":method", "POST", ":scheme", "http")})
		_ = fr.WriteContinuation(1, true, b(":authority", "a", ":path", "/hang"))
		_ = fr.WriteDataPadded(1, false, []byte("abc"), make([]byte, 5))
		_ = fr.WriteWindowUpdate(1, 100)
		_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, EndStream: true, BlockFragment: b("x-t", "1")})
		_ = fr.WriteRSTStream(1, 8)
		_ = fr.WritePriority(3, http2.PriorityParam{StreamDep: 1})
		_ = fr.WriteGoAway(0, 0, nil)
	}), uint16(100))
	f.Add(seed(func(fr *http2.Framer, b func(...string) []byte) {
		_ = fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
		_ = fr.WriteHeaders(http2.HeadersFrameParam{
			StreamID: 1, EndHeaders: true,
			BlockFragment: b(":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/early"),
		})
		_ = fr.WriteData(1, true, []byte("late"))
	}), uint16(1000))
	f.Fuzz(func(t *testing.T, frames []byte, cut uint16) {
		synctest.Test(t, func(t *testing.T) {
			a, b := netio.Pipe(1 << 20)
			r := serve(a, b, &Options{MaxConcurrentStreams: 10, StreamErrorOnInvalid: cut%2 == 0, WriteIdle: time.Second}, serving(byPath), time.Minute, time.Hour)
			_, _ = b.Write([]byte(http2.ClientPreface))
			n := min(len(frames), int(cut))
			_, _ = b.Write(frames[:n])
			synctest.Wait()
			_, _ = b.Write(frames[n:])
			synctest.Wait()
			_ = b.Close()
			<-r.done
			if n := r.st.StreamsActive.Value(); n != 0 {
				t.Errorf("%d streams left", n)
			}
		})
	})
}

// FuzzClient: the same for what a server sends.
func FuzzClient(f *testing.F) {
	f.Add(seed(func(fr *http2.Framer, b func(...string) []byte) {
		_ = fr.WriteSettingsAck()
		_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: b(":status", "103")})
		_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: b(":status", "200")})
		_ = fr.WriteData(1, false, []byte("abc"))
		_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, EndStream: true, BlockFragment: b("x-t", "1")})
		_ = fr.WriteGoAway(1, 0, nil)
		_ = fr.WriteRSTStream(3, 7)
	}), uint16(9))
	f.Add(seed(func(fr *http2.Framer, b func(...string) []byte) {
		_ = fr.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 0})
		_ = fr.WriteData(1, true, []byte("early"))
		_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, EndHeaders: true, EndStream: true, BlockFragment: b(":status", "204", "content-length", "3")})
	}), uint16(50))
	f.Fuzz(func(t *testing.T, frames []byte, cut uint16) {
		synctest.Test(t, func(t *testing.T) {
			a, b := netio.Pipe(1 << 20)
			st := newStats()
			k, err := NewClientConn(a, &Options{}, st, ClientEvents{})
			must(t, err)
			for range 2 {
				x, err := k.Open()
				if err != nil {
					break
				}
				x.Begin(nil)
				go func() {
					defer x.Release()
					var h, tr header.Headers
					if x.WriteHeaders(post("/"), false) != nil || x.WriteBody([]byte("body"), true) != nil {
						return
					}
					for {
						code, err := x.ReadHeaders(&h)
						if err != nil {
							return
						}
						if code >= 200 {
							break
						}
					}
					if !x.StartBody(&tr) {
						_, _ = bodyOf(x.ReadBody)
					}
				}()
				synctest.Wait()
			}
			n := min(len(frames), int(cut))
			_, _ = b.Write(frames[:n])
			synctest.Wait()
			_, _ = b.Write(frames[n:])
			synctest.Wait()
			_ = b.Close()
			<-k.Done()
			synctest.Wait()
			if n := st.StreamsActive.Value(); n != 0 || k.Active() != 0 {
				t.Errorf("%d streams left, %d active", n, k.Active())
			}
		})
	})
}
