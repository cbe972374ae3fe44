package cli

import (
	"encoding/json"
	"errors"

	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/lifecycle"
)

// policyText is the policy in the text of a file: text itself, or what is in the
// answer that aws ecr get-lifecycle-policy prints, whole or with --query
// lifecyclePolicyText. file then is what its places belong to.
func policyText(name string, text []byte) (file, policy string) {
	var answer struct {
		Policy string `json:"lifecyclePolicyText"`
	}
	if json.Unmarshal(text, &policy) == nil {
		return name + " (lifecyclePolicyText)", policy
	}
	if json.Unmarshal(text, &answer) == nil && answer.Policy != "" {
		return name + " (lifecyclePolicyText)", answer.Policy
	}
	return name, string(text)
}

// parsePolicy reads the policy that a file holds. What Kontor's registry takes
// beyond ECR is wrong where it is for AWS. The errors have places in the file.
func parsePolicy(file, text string, aws bool) (lifecycle.Policy, error) {
	p, err := lifecycle.Dialect{PulledExpire: !aws}.Parse([]byte(text))
	return p, policyErrors(file, err)
}

// policyErrors turns the errors of a policy into lines of the file's.
func policyErrors(file string, err error) error {
	var all lifecycle.Errors
	if !errors.As(err, &all) {
		return err
	}
	var out spec.Errors
	for _, e := range all {
		message := e.Reason
		if message == "" {
			message = e.Detail
		}
		out = append(out, &spec.Error{Position: state.Position{File: file, Line: e.Line, Column: e.Column}, Field: e.Path, Message: message})
	}
	return out
}
