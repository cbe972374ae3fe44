package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// tool copies images, one process after the other where it copies one at a time.
type tool struct {
	name string
	// command copies the image number i into target/service-i; one that copies
	// all of them is asked for the first only.
	command func(target string, i int) []string
	all     bool
}

func (w *world) tools(o options) []tool {
	from := func(i int) string { return fmt.Sprintf("%s/%s:1.0", w.from, service(i)) }
	to := func(target string, i int) string { return fmt.Sprintf("%s/%s/%s:1.0", w.to, target, service(i)) }
	return []tool{
		{name: "kontor", all: true, command: func(target string, _ int) []string {
			return []string{o.kontor, "promote", "-f", w.file(target), "--route", "bench"}
		}},
		{name: "crane", command: func(target string, i int) []string {
			return []string{o.crane, "cp", "--insecure", from(i), to(target, i)}
		}},
		{name: "skopeo", command: func(target string, i int) []string {
			return []string{o.skopeo, "copy", "--all", "--quiet", "--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false", "docker://" + from(i), "docker://" + to(target, i)}
		}},
	}
}

// copy copies all images and returns how long that took, and the most memory
// that a process had.
func (t tool) copy(ctx context.Context, w *world, target string, images int) (took time.Duration, memory int64, err error) {
	if t.all {
		images = 1
	}
	began := time.Now()
	for i := range images {
		args := t.command(target, i)
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		cmd.Env = []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + w.dir, "TMPDIR=" + w.dir, "XDG_RUNTIME_DIR=" + w.dir,
			"DOCKER_CONFIG=" + w.dir, "REGISTRY_AUTH_FILE=" + filepath.Join(w.dir, "config.json"),
			"AWS_CONFIG_FILE=" + filepath.Join(w.dir, "aws.config"), "AWS_EC2_METADATA_DISABLED=true",
		}
		if err := cmd.Start(); err != nil {
			return 0, 0, err
		}
		watched := watch(cmd.Process.Pid)
		err := cmd.Wait()
		memory = max(memory, watched())
		if err != nil {
			return 0, 0, fmt.Errorf("%v: %w\n%s", args, err, &out)
		}
	}
	return time.Since(began), memory, nil
}

// watch looks at the most memory that a process has had, on Linux. What the
// system says when it has ended counts the memory of its parent, too. The
// function returned ends the watch.
func watch(pid int) func() int64 {
	stop, most := make(chan struct{}), make(chan int64)
	go func() {
		var peak int64
		for tick := time.NewTicker(10 * time.Millisecond); ; {
			select {
			case <-stop:
				tick.Stop()
				most <- peak
				return
			case <-tick.C:
			}
			text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)) // the process may have ended
			if _, rest, ok := strings.Cut(string(text), "VmHWM:"); ok {
				var kib int64
				if _, err := fmt.Sscan(rest, &kib); err == nil {
					peak = max(peak, kib<<10)
				}
			}
		}
	}()
	return func() int64 { close(stop); return <-most }
}
