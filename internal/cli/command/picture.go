package command

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// WritePicture writes what draw draws into the file name, if there is one.
func WritePicture(name string, draw func(io.Writer) error) error {
	if name == "" {
		return nil
	}
	var b bytes.Buffer
	if err := draw(&b); err != nil {
		return err
	}
	if err := os.WriteFile(name, b.Bytes(), 0o666); err != nil {
		return fmt.Errorf("writing the chart: %w", err)
	}
	return nil
}
