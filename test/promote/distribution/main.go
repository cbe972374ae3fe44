// Command distribution serves distribution v3 with files in a folder, without a
// login. bench/registry compares Kontor with it.
//
//	distribution 127.0.0.1:5000 /folder
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem" // the storage of the configuration
	"github.com/sirupsen/logrus"
)

func main() {
	if err := serve(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "distribution:", err)
		os.Exit(1)
	}
}

func serve(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("want an address and a folder, got %d arguments", len(args))
	}
	logrus.SetLevel(logrus.PanicLevel)
	config, err := configuration.Parse(strings.NewReader(fmt.Sprintf(
		"version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"+
			"storage: {filesystem: {rootdirectory: %q}, delete: {enabled: true}}\nhttp: {secret: s, relativeurls: true}\n", args[1])))
	if err != nil {
		return err
	}
	return http.ListenAndServe(args[0], handlers.NewApp(context.Background(), config))
}
