package spec

import (
	"fmt"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
)

// Starter is a starter file: valid, formatted, and with comments if the language
// has them. stack is the name of its stack.
func Starter(l lang.Language, stack string) ([]byte, error) {
	inline := func(v *lang.Value) *lang.Value {
		v.Inline = true
		return v
	}
	commented := func(v *lang.Value, lines ...string) *lang.Value {
		v.Above, v.Gap = lines, true
		return v
	}
	rule := func(pattern, number string, n int) *lang.Value {
		return inline(lang.NewMapping().Add("tag_pattern", lang.NewText(pattern)).Add(number, lang.NewInteger(n)))
	}
	api := lang.NewMapping().
		Add("keep", inline(lang.NewList(lang.NewText("v*")))).
		Add("expiration_rules", lang.NewList(rule("pr-*", "days", 7), rule("main-*", "keep_last", 20)))
	sandbox := lang.NewMapping().Add("is_immutable", lang.NewBoolean(false)).Add("expire_all_images", lang.NewBoolean(true))
	repositories := lang.NewMapping().
		Add("website", commented(lang.NewMapping(),
			"The defaults: a tag cannot be moved to another image, and untagged images are",
			"removed after a day.")).
		Add("api", commented(api,
			"Releases never expire. Images of pull requests expire after 7 days; of those of",
			"the main branch, the newest 20 are kept.")).
		Add("sandbox", commented(sandbox, "Tags can be moved, and every image expires after 14 days."))

	registry := lang.NewMapping().
		Add("name", lang.NewText("prod")).Add("account", lang.NewText("111111111111")).Add("region", lang.NewText("us-east-1"))
	example, err := lang.Print(l, lang.NewMapping().Add("registries", lang.NewList(registry)))
	if err != nil {
		return nil, err
	}
	file := lang.NewMapping().
		Add("stack", commented(lang.NewText(stack), "The name of what this file owns, kept in a tag of each repository.")).
		Add("ecr_repositories", repositories)
	repositories.Gap = true
	file.Above = append([]string{
		"Container image repositories and their settings. kontor explain describes each",
		"field, kontor validate checks the file.", "",
		"Without registries the file is for the registry of kontor up, on this machine.",
		"To deploy to AWS, uncomment and edit:", "",
	}, strings.Split(strings.TrimSuffix(string(example), "\n"), "\n")...)
	text, err := lang.Print(l, file)
	if err != nil {
		return nil, fmt.Errorf("writing a starter file: %w", err)
	}
	return text, nil
}
