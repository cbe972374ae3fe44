package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
)

// repositories exist at every server before a scenario begins.
var repositories = func() []string {
	names := []string{"bench/a", "bench/b"}
	for i := range mountTargets {
		names = append(names, fmt.Sprintf("bench/mount-%02d", i))
	}
	return names
}()

// startTime bounds how long a server may take to answer.
const startTime = time.Minute

// target is a server that is compared: a process with a folder.
type target struct {
	name string
	// args starts it at an address, with a folder.
	args func(address, folder string) []string
	// login finds the password that clients send; nil for servers without logins.
	login func(ctx context.Context, t *target) error
	// env is added to the environment.
	env func(address, folder string) []string
	// inMemory says that it keeps every blob in memory.
	inMemory bool

	root    string // holds the folder
	address string
	client  *client
	cmd     *exec.Cmd
	log     bytes.Buffer
	ended   chan error
}

func (t *target) folder() string { return filepath.Join(t.root, t.name) }

// chooseTargets builds what is to be compared, in the order of the tables. Of
// servers that this machine does not have, it says so.
func chooseTargets(ctx context.Context, o options, dir string) ([]*target, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "kontor.json")
	repos := map[string]any{}
	for _, r := range repositories {
		repos[r] = map[string]any{"is_immutable": false}
	}
	b, err := json.Marshal(map[string]any{"stack": "bench", "ecr_repositories": repos})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		return nil, err
	}
	wanted := func(string) bool { return true }
	if o.targets != "" {
		list := strings.Split(o.targets, ",")
		wanted = func(name string) bool { return slices.Contains(list, name) }
	}
	if wanted("kontor") || o.serve != "" {
		if err := build(ctx, &o.kontor, dir, ".", "./cmd/kontor"); err != nil {
			return nil, err
		}
	}
	if wanted("distribution") {
		if err := build(ctx, &o.distribution, dir, filepath.Join("test", "promote"), "./distribution"); err != nil {
			return nil, err
		}
	}
	all := []*target{
		{name: "kontor", login: loginKontor(o.kontor), args: func(address, folder string) []string {
			return []string{o.kontor, "up", "--data", folder, "--listen", address, "--compat", o.compat, "-f", file}
		}},
		{name: "serve", login: loginServe, args: func(string, string) []string { return []string{o.kontor, "serve", "--config", o.serve} },
			env: func(address, folder string) []string {
				return []string{"KONTOR_LISTEN=" + address, "KONTOR_DATA=" + folder}
			}},
		{name: "distribution", args: func(address, folder string) []string { return []string{o.distribution, address, folder} }},
		{name: "debian", args: func(address, folder string) []string {
			return []string{"docker-registry", "serve", debianConfig(dir, address, folder)}
		}},
		{name: "rawsync", args: func(address, folder string) []string { return []string{self, "serve", address, folder} }},
		{name: "null", inMemory: true, args: func(address, _ string) []string { return []string{self, "serve", address, "-"} }},
	}
	var chosen []*target
	for _, t := range all {
		if !wanted(t.name) {
			continue
		}
		if t.name == "serve" && o.serve == "" {
			continue
		}
		if t.name == "debian" {
			if _, err := exec.LookPath("docker-registry"); err != nil {
				fmt.Println("without debian: docker-registry is not installed")
				continue
			}
		}
		t.root = dir
		chosen = append(chosen, t)
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("-targets %s names none of the servers", o.targets)
	}
	return chosen, nil
}

func build(ctx context.Context, file *string, dir, module, path string) error {
	if *file != "" {
		return nil
	}
	*file = filepath.Join(dir, filepath.Base(path)+"-bin")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", *file, path)
	cmd.Dir = module
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", path, err, out)
	}
	return nil
}

// debianConfig writes a configuration like the one that distribution v3 gets.
func debianConfig(dir, address, folder string) string {
	name := filepath.Join(dir, "debian.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"+
		"storage: {filesystem: {rootdirectory: %q}, delete: {enabled: true}}\nhttp: {addr: %q, secret: s, relativeurls: true}\n", folder, address)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		panic(err) // the folder is our own
	}
	return name
}

// loginKontor asks for a password as `kontor login` does.
func loginKontor(binary string) func(context.Context, *target) error {
	return func(ctx context.Context, t *target) error {
		b, err := exec.CommandContext(ctx, binary, "env", "--data", t.folder(), "--format", "json").Output()
		if err != nil {
			return err
		}
		var env map[string]string
		if err := json.Unmarshal(b, &env); err != nil {
			return err
		}
		api := newAPI(env["AWS_ENDPOINT_URL"], env["AWS_REGION"], env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"])
		if err := t.password(ctx, api); err != nil {
			return err
		}
		// The file is deployed after the port is open.
		for {
			_, err := api.ListImages(ctx, &ecr.ListImagesInput{RepositoryName: &repositories[len(repositories)-1]})
			if err == nil {
				return nil
			}
			select {
			case <-ctx.Done():
				return errors.Join(err, context.Cause(ctx))
			case <-time.After(30 * time.Millisecond):
			}
		}
	}
}

// loginServe logs in as the administrator of the environment, and creates the
// repositories, which a database may hold from the scenario before.
func loginServe(ctx context.Context, t *target) error {
	api := newAPI("http://"+t.address, os.Getenv("AWS_REGION"), os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"))
	if err := t.password(ctx, api); err != nil {
		return err
	}
	for _, name := range repositories {
		_, err := api.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: &name})
		if there := (*types.RepositoryAlreadyExistsException)(nil); err != nil && !errors.As(err, &there) {
			return err
		}
	}
	return nil
}

func newAPI(url, region, id, secret string) *ecr.Client {
	return ecr.New(ecr.Options{Region: region, BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider(id, secret, "")})
}

// password asks for what docker logs in with.
func (t *target) password(ctx context.Context, api *ecr.Client) error {
	token, err := api.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		return err
	}
	pair, err := base64.StdEncoding.DecodeString(*token.AuthorizationData[0].AuthorizationToken)
	if err != nil {
		return err
	}
	t.client.user, t.client.password, _ = strings.Cut(string(pair), ":")
	return nil
}

// launch starts the process and returns how long it took to its first answer.
func (t *target) launch(ctx context.Context) (time.Duration, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	t.address = l.Addr().String()
	if err := l.Close(); err != nil {
		return 0, err
	}
	if err := os.MkdirAll(t.folder(), 0o700); err != nil {
		return 0, err
	}
	t.client = newClient("http://" + t.address)
	args := t.args(t.address, t.folder())
	t.log.Reset()
	t.cmd = exec.Command(args[0], args[1:]...)
	t.cmd.Stdout, t.cmd.Stderr = &t.log, &t.log
	if t.env != nil {
		t.cmd.Env = append(os.Environ(), t.env(t.address, t.folder())...)
	}
	began := time.Now()
	if err := t.cmd.Start(); err != nil {
		t.cmd = nil
		return 0, err
	}
	t.ended = make(chan error, 1)
	go func(cmd *exec.Cmd, ended chan<- error) { ended <- cmd.Wait() }(t.cmd, t.ended)
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		if err = t.client.ping(ctx); err == nil {
			return time.Since(began), nil
		}
		select {
		case how := <-t.ended:
			t.cmd = nil
			return 0, fmt.Errorf("ended before it answered: %w\n%s", how, &t.log)
		case <-ctx.Done():
			return 0, fmt.Errorf("does not answer: %w\n%s", errors.Join(err, t.stop()), &t.log)
		case <-time.After(time.Millisecond):
		}
	}
}

// start launches the server and logs in.
func (t *target) start(ctx context.Context) error {
	if _, err := t.launch(ctx); err != nil {
		return err
	}
	if t.login == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	return t.login(ctx, t)
}

// stop ends the server, if it runs, and keeps its folder.
func (t *target) stop() error {
	if t.cmd == nil {
		return nil
	}
	err := t.cmd.Process.Kill()
	how := <-t.ended
	t.cmd = nil
	if exit := (*exec.ExitError)(nil); !errors.As(how, &exit) { // a process that was killed has such an error
		err = errors.Join(err, how)
	}
	return err
}

// clear stops the server and removes its folder.
func (t *target) clear() error {
	return errors.Join(t.stop(), os.RemoveAll(t.folder()))
}
