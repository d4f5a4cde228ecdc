// Renders the chart as `helm template` does, for machines without helm: text/template, sprig and helm's own functions.
// Run by ./check; needs Debian's golang-go, golang-github-masterminds-sprig-dev and golang-gopkg-yaml.v3-dev.
//
//	render <chart> <namespace> <release> <upgrade: true|false> <stored secrets: file or -> <values file>...
//
// A values file that is not there is an error. Stored secrets are a YAML map, from names of Secrets to their data; `lookup`
// finds those.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"gopkg.in/yaml.v3"
)

type object = map[string]interface{}

func die(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "render:", err)
		os.Exit(1)
	}
}

// parse reads YAML the way helm does, by way of JSON: every number becomes a fraction.
func parse(text []byte) (interface{}, error) {
	var value interface{}
	if err := yaml.Unmarshal(text, &value); err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	var plain interface{}
	err = json.Unmarshal(encoded, &plain)
	return plain, err
}

func read(path string) object {
	text, err := os.ReadFile(path)
	die(err)
	value, err := parse(text)
	die(err)
	if value == nil {
		return object{}
	}
	return value.(object)
}

// overlay puts values over defaults; null removes a default, as helm does.
func overlay(base, over object) object {
	for key, value := range over {
		below, isMap := base[key].(object)
		above, overMap := value.(object)
		switch {
		case value == nil:
			delete(base, key)
		case isMap && overMap:
			base[key] = overlay(below, above)
		default:
			base[key] = value
		}
	}
	return base
}

func toYaml(value interface{}) string {
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	// By way of JSON, so that whole numbers are written as such.
	encoded, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	var node interface{}
	if yaml.Unmarshal(encoded, &node) != nil || encoder.Encode(node) != nil {
		return ""
	}
	return strings.TrimSuffix(out.String(), "\n")
}

func main() {
	if len(os.Args) < 6 {
		die(errors.New("usage: render <chart> <namespace> <release> <upgrade> <secrets> <values>..."))
	}
	chart, namespace, release, upgrade := os.Args[1], os.Args[2], os.Args[3], os.Args[4] == "true"
	stored := object{}
	if os.Args[5] != "-" {
		stored = read(os.Args[5])
	}
	values := read(filepath.Join(chart, "values.yaml"))
	for _, path := range os.Args[6:] {
		values = overlay(values, read(path))
	}
	about := read(filepath.Join(chart, "Chart.yaml"))
	named := object{}
	for key, value := range about {
		named[strings.ToUpper(key[:1])+key[1:]] = value
	}

	root := template.New("chart").Option("missingkey=zero")
	functions := sprig.TxtFuncMap()
	delete(functions, "env")
	delete(functions, "expandenv")
	functions["toYaml"] = toYaml
	functions["fromYaml"] = func(text string) object {
		value, err := parse([]byte(text))
		if err != nil {
			return object{"Error": err.Error()}
		}
		if value == nil {
			return object{}
		}
		return value.(object)
	}
	functions["fromJson"] = functions["fromYaml"]
	functions["toJson"] = func(value interface{}) string {
		text, _ := json.Marshal(value)
		return string(text)
	}
	functions["fromJsonArray"] = func(text string) ([]interface{}, error) {
		list := []interface{}{}
		err := json.Unmarshal([]byte(text), &list)
		return list, err
	}
	functions["required"] = func(message string, value interface{}) (interface{}, error) {
		if value == nil || value == "" {
			return value, errors.New(message)
		}
		return value, nil
	}
	functions["lookup"] = func(version, kind, space, name string) object {
		data, found := stored[name].(object)
		if kind != "Secret" || !found {
			return object{}
		}
		return object{"data": data}
	}
	functions["include"] = func(name string, data interface{}) (string, error) {
		var out strings.Builder
		err := root.ExecuteTemplate(&out, name, data)
		return out.String(), err
	}
	root.Funcs(functions)

	files, err := filepath.Glob(filepath.Join(chart, "templates", "*"))
	die(err)
	sort.Strings(files)
	for _, path := range files {
		text, err := os.ReadFile(path)
		die(err)
		_, err = root.New(filepath.Base(path)).Parse(string(text))
		die(err)
	}
	for _, path := range files {
		name := filepath.Base(path)
		if strings.HasPrefix(name, "_") {
			continue
		}
		var out bytes.Buffer
		die(root.ExecuteTemplate(&out, name, object{
			"Values":  values,
			"Chart":   named,
			"Release": object{"Name": release, "Namespace": namespace, "Service": "Helm", "IsUpgrade": upgrade, "IsInstall": !upgrade, "Revision": 1.0},
		}))
		// helm writes <no value> as nothing.
		text := strings.TrimSpace(strings.ReplaceAll(out.String(), "<no value>", ""))
		if text == "" {
			continue
		}
		if name == "NOTES.txt" {
			fmt.Fprintln(os.Stderr, text)
			continue
		}
		fmt.Printf("---\n# Source: %s/templates/%s\n%s\n", named["Name"], name, text)
	}
}
