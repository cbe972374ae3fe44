package faults

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// model is what one object may do. The state is the digest that a tag names, or that
// a manifest has, and "" for none.
//
// A request whose outcome is unknown may take effect at any time after it began: it is
// an operation that ends after all others. Placed there, it changes nothing that
// anybody saw, so the case that it never happened is among those that are tried.
func model(repo string) porcupine.Model {
	step := stepMutable
	if repo == fixedRepo {
		step = stepFixed
	}
	return porcupine.Model{
		Init: func() any { return "" },
		Step: func(state, in, _ any) (bool, any) { return step(state.(string), in.(event)) },
	}
}

// stepMutable is a register, or a manifest that comes and goes.
func stepMutable(state string, e event) (bool, string) {
	switch {
	case e.action == get:
		return e.value == state, state
	case e.action == put && e.outcome == refused:
		return false, state // nothing gives the reason to
	case e.action == put:
		return true, e.value
	case e.outcome == done:
		return state != "", ""
	case e.outcome == refused: // there is nothing to remove
		return state == "", state
	default:
		return true, ""
	}
}

// stepFixed is a register that is written once. The same value may be put again.
func stepFixed(state string, e event) (bool, string) {
	switch {
	case e.action == get:
		return e.value == state, state
	case e.action != put:
		return false, state
	case e.outcome == refused:
		return state != "" && state != e.value, state
	case e.outcome == done:
		return state == "" || state == e.value, e.value
	case state == "":
		return true, e.value
	default:
		return true, state // it is refused, and nobody heard of it
	}
}

// decideTime is how long the search for an order of one object's events may take.
const decideTime = 2 * time.Minute

// checkHistory returns what no registry can have done that does one thing after the
// other, an object a line; nothing when there is such an order.
func checkHistory(events []event) (wrong []string) {
	byObject := map[object][]event{}
	for _, e := range events {
		byObject[e.object] = append(byObject[e.object], e)
	}
	for _, o := range slices.SortedFunc(maps.Keys(byObject), func(a, b object) int {
		return strings.Compare(a.repo+":"+a.name, b.repo+":"+b.name)
	}) {
		var ops []porcupine.Operation
		for _, e := range byObject[o] {
			ops = append(ops, porcupine.Operation{ClientId: e.client, Input: e, Call: int64(e.began), Return: int64(e.ended)})
		}
		switch porcupine.CheckOperationsTimeout(model(o.repo), ops, decideTime) {
		case porcupine.Ok:
		case porcupine.Illegal:
			wrong = append(wrong, fmt.Sprintf("%s:%s: there is no order in which one registry does this:\n%s", o.repo, o.name, story(byObject[o])))
		default:
			wrong = append(wrong, fmt.Sprintf("%s:%s: %d events, and no decision after %s", o.repo, o.name, len(ops), decideTime))
		}
	}
	return wrong
}

// story is what happened to an object, to read.
func story(events []event) string {
	var b strings.Builder
	for _, e := range events {
		ended := "open"
		if e.ended != forever {
			ended = e.ended.Round(time.Millisecond).String()
		}
		fmt.Fprintf(&b, "  %10s to %10s  client %d  %-6s %.19s  %s\n", e.began.Round(time.Millisecond), ended, e.client, e.action, e.value, e.outcome)
	}
	return b.String()
}
