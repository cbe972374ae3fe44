package parts

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io/fs"
	"path"
	"strings"
	"sync"
)

// Assets are the files that are the same for everyone.
//
//go:embed assets
var Assets embed.FS

// functions are what templates call.
var functions = template.FuncMap{
	"t":     t,
	"clean": Clean,
	"asset": AssetURL,
}

//go:embed templates
var frames embed.FS

// Pages are the templates of pages by name, each with the layout.
type Pages func() map[string]*template.Template

// PagesOf are those in the folder templates of a package of pages.
func PagesOf(files embed.FS) Pages {
	return sync.OnceValue(func() map[string]*template.Template {
		all := map[string]*template.Template{}
		names, err := fs.Glob(files, "templates/*.html")
		if err != nil {
			panic(err) // the pattern is right
		}
		frame := template.Must(template.New("").Funcs(functions).ParseFS(frames, "templates/layout.html", "templates/parts.html"))
		for _, name := range names {
			base := strings.TrimSuffix(path.Base(name), ".html")
			if base != "layout" && base != "parts" {
				all[base] = template.Must(template.Must(frame.Clone()).ParseFS(files, name))
			}
		}
		return all
	})
}

// Shared are the pages that are not of one group: a question, and an error.
var Shared = PagesOf(frames)

// assetURLs are the URLs of assets, by name, with a hash of their content.
var assetURLs = sync.OnceValue(func() map[string]string {
	all := map[string]string{}
	for _, name := range []string{"console.css", "console.js", "htmx.js", "icon.svg"} {
		text, err := Assets.ReadFile("assets/" + name)
		if err != nil {
			panic(err) // they are embedded
		}
		sum := sha256.Sum256(text)
		all[name] = Root + "assets/" + name + "?" + hex.EncodeToString(sum[:6])
	}
	return all
})

// AssetURL is the URL of an asset, with a hash of its content.
func AssetURL(name string) string { return assetURLs()[name] }
