package history

import (
	"testing"
	"testing/synctest"
	"time"
)

// A track has the last newPayloads, those that were waited for in vain among them, and figures of the last ten minutes.
func TestTrack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(Track)
		check := func(count int, median, p99 time.Duration) {
			t.Helper()
			got := n.Figures(time.Now())
			if len(got.Recent) != count || got.Median != median || got.P99 != p99 {
				t.Errorf("got %d newPayloads, median %v, p99 %v; want %d, %v, %v",
					len(got.Recent), got.Median, got.P99, count, median, p99)
			}
		}
		check(0, 0, 0)
		n.Took(time.Second)
		check(1, time.Second, time.Second)
		n.Took(3 * time.Second)
		n.Took(2 * time.Second)
		check(3, 2*time.Second, 3*time.Second)
		time.Sleep(trackWindow)
		check(3, 2*time.Second, 3*time.Second)
		time.Sleep(time.Second)
		check(3, 0, 0)
		for i := range 2 * maxSamples {
			n.Took(time.Duration(i))
		}
		check(maxSamples, maxSamples+maxSamples/2, 2*maxSamples-1)
		n.Voted(true)
		n.Voted(false)
		n.Voted(true)
		if got := n.Figures(time.Now()); got.Won != 2 || got.Lost != 1 {
			t.Errorf("got %d won, %d lost", got.Won, got.Lost)
		}
	})
}
