//go:build e2e

package live

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// cable is the only way between this machine and a network namespace that is made for one node, and removed with it.
// What goes through it can be delayed, lost and cut.
//
// It is a pair of virtual Ethernet devices with `tc netem`. Where the kernel has no netem the ends are two TUN devices,
// and this process carries the packets from one to the other.
type cable struct {
	t         testing.TB
	namespace string
	near, far string // addresses
	device    string // our end
	peer      string // the other
	refused   string // why netem isn't used
	line      *line  // in its place
}

// cables counts them: each has a name and addresses of its own.
var cables atomic.Int32

// newCable lays a cable. Where the machine lets nobody do that the test is skipped, and says so.
func newCable(t testing.TB) *cable {
	t.Helper()
	process, number := os.Getpid()%200, int(cables.Add(1))
	name := fmt.Sprintf("eb%d.%d", process, number)
	// 198.18.0.0/15 is for tests of networks (RFC 2544); nobody routes it.
	c := &cable{
		t: t, namespace: name, device: name + "a", peer: name + "b",
		near: fmt.Sprintf("198.18.%d.%d", process, 2*number), far: fmt.Sprintf("198.18.%d.%d", process, 2*number+1),
	}
	if out, err := tool("ip netns add " + c.namespace); err != nil {
		t.Skipf("NOT TESTED: the machine refuses network namespaces: %v: %s", err, out)
	}
	t.Cleanup(func() { c.run("ip netns del %s", c.namespace) })
	c.run("ip -n %s link set lo up", c.namespace)
	c.run("ip link add %s type veth peer name %s netns %s", c.device, c.peer, c.namespace)
	if out, err := tool("tc qdisc add dev " + c.device + " root netem delay 1ms"); err != nil {
		c.refused = fmt.Sprintf("this kernel refuses tc netem (%s): in its place the test itself carries the packets, "+
			"over two TUN devices", out)
		t.Log("NETEM REFUSED: " + c.refused)
		c.run("ip link del %s", c.device)
		c.layLine()
	} else {
		c.impair(0, 0)
	}
	c.run("ip addr add %s peer %s dev %s", c.near, c.far, c.device)
	c.run("ip -n %s addr add %s peer %s dev %s", c.namespace, c.far, c.near, c.peer)
	c.run("ip link set %s up", c.device)
	c.run("ip -n %s link set %s up", c.namespace, c.peer)
	return c
}

// enter is the command that runs another in the namespace.
func (c *cable) enter() []string { return []string{"ip", "netns", "exec", c.namespace} }

// impair delays what goes to the node, and loses a share of the packets in each direction.
func (c *cable) impair(delay time.Duration, loss float64) {
	if c.line != nil {
		c.line.delay.Store(int64(delay))
		c.line.loss.Store(uint32(loss * 1000))
		return
	}
	c.run("tc qdisc replace dev %s root netem delay %dms loss %g%%", c.device, delay.Milliseconds(), 100*loss)
	c.run("ip netns exec %s tc qdisc replace dev %s root netem loss %g%%", c.namespace, c.peer, 100*loss)
}

// cut loses every packet, and mend carries them again.
func (c *cable) cut()  { c.impair(0, 1) }
func (c *cable) mend() { c.impair(0, 0) }

// run is a command that must succeed.
func (c *cable) run(format string, args ...any) {
	c.t.Helper()
	command := fmt.Sprintf(format, args...)
	if out, err := tool(command); err != nil {
		c.t.Fatalf("%s: %v: %s", command, err, out)
	}
}

func tool(command string) (output string, err error) {
	words := strings.Fields(command)
	out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// line carries packets between two TUN devices as netem would.
type line struct {
	delay atomic.Int64  // nanoseconds, towards the node
	loss  atomic.Uint32 // thousandths, in each direction
}

// layLine makes the two devices and moves one into the namespace.
func (c *cable) layLine() {
	c.t.Helper()
	c.line = new(line)
	near, far := c.tun(c.device), c.tun(c.peer)
	c.run("ip link set %s netns %s", c.peer, c.namespace)
	var running sync.WaitGroup
	c.t.Cleanup(func() {
		near.Close()
		far.Close()
		running.Wait()
	})
	running.Go(func() { c.line.carry(near, far, c.line.delay.Load) })
	running.Go(func() { c.line.carry(far, near, func() int64 { return 0 }) })
}

// tun makes a TUN device, which lives until the file is closed.
func (c *cable) tun(name string) *os.File {
	c.t.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		c.t.Skipf("NOT TESTED: no tc netem, and no TUN devices: %v", err)
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		c.t.Skipf("NOT TESTED: no tc netem, and no TUN device %s: %v", name, err)
	}
	return os.NewFile(uintptr(fd), name)
}

// carry passes packets on until a device is closed.
func (l *line) carry(from, to *os.File, delay func() int64) {
	type packet struct {
		data []byte
		due  time.Time
	}
	const mtu, backlog = 1500, 1000 // netem's limit is 1000 packets, too
	way := make(chan packet, backlog)
	var writing sync.WaitGroup
	defer writing.Wait()
	defer close(way)
	writing.Go(func() {
		for p := range way {
			time.Sleep(time.Until(p.due))
			to.Write(p.data)
		}
	})
	for {
		buffer := make([]byte, mtu)
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if rand.Uint32N(1000) < l.loss.Load() {
			continue
		}
		select {
		case way <- packet{buffer[:n], time.Now().Add(time.Duration(delay()))}:
		default: // the queue is full
		}
	}
}
