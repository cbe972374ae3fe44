package leases

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Objects is what Kubernetes finds in a cluster's objects.
type Objects struct {
	// Uses are in the order of the objects.
	Uses []Use
	// Looked counts the objects that hold containers, Ended the pods that
	// have ended for good and no longer use anything.
	Looked, Ended int
	// Unknown counts the objects without containers by kind, such as Service.
	Unknown map[string]int
	// Continue is the token of the list's next part, "" for none.
	Continue string
}

// Add appends what b found to o. The Continue of b is the one that counts.
func (o *Objects) Add(b Objects) {
	o.Uses = append(o.Uses, b.Uses...)
	o.Looked += b.Looked
	o.Ended += b.Ended
	for k, n := range b.Unknown {
		o.unknown(k, n)
	}
	o.Continue = b.Continue
}

func (o *Objects) unknown(kind string, n int) {
	if o.Unknown == nil {
		o.Unknown = map[string]int{}
	}
	o.Unknown[kind] += n
}

// head is what every object begins with, and every list of them.
type head struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
		Continue  string `json:"continue"`
	} `json:"metadata"`
	Items *[]json.RawMessage `json:"items"`
}

// pod is a Pod.
type pod struct {
	Spec   podSpec `json:"spec"`
	Status struct {
		Phase      string      `json:"phase"`
		Containers []container `json:"containerStatuses"`
		Init       []container `json:"initContainerStatuses"`
		Ephemeral  []container `json:"ephemeralContainerStatuses"`
	} `json:"status"`
}

// workload is what makes pods from a template.
type workload struct {
	Spec struct {
		Template    *template `json:"template"`
		JobTemplate *struct {
			Spec struct {
				Template *template `json:"template"`
			} `json:"spec"`
		} `json:"jobTemplate"`
	} `json:"spec"`
}

// revision is a ControllerRevision, which is what StatefulSets and DaemonSets
// go back to.
type revision struct {
	Data workload `json:"data"`
}

type template struct {
	Spec podSpec `json:"spec"`
}

type podSpec struct {
	Containers []container `json:"containers"`
	Init       []container `json:"initContainers"`
	Ephemeral  []container `json:"ephemeralContainers"`
	Volumes    []struct {
		Name  string `json:"name"`
		Image *struct {
			Reference string `json:"reference"`
		} `json:"image"`
	} `json:"volumes"`
}

// container is a container of a specification, or its status.
type container struct {
	Name    string `json:"name"`
	Image   string `json:"image"`
	ImageID string `json:"imageID"`
}

// Kubernetes reads objects as JSON: one object, a list of them, or several of
// either one after another. Specifications name images as they were asked
// for, the status of a pod says by imageID what runs: both are in use. Pods
// that have ended (phase Succeeded or Failed) are left out, the templates that
// they came from are not: a ReplicaSet without replicas is what a Deployment
// goes back to.
func Kubernetes(text []byte) (Objects, error) {
	var out Objects
	dec := json.NewDecoder(bytes.NewReader(text))
	for n := 0; ; n++ {
		var raw json.RawMessage
		err := dec.Decode(&raw)
		switch {
		case errors.Is(err, io.EOF) && n > 0:
			return out, nil
		case errors.Is(err, io.EOF):
			return Objects{}, errors.New("the input is empty: want the output of kubectl get pods,deployments,... -A -o json")
		case err == nil:
			err = out.document(raw)
		}
		if err != nil {
			return Objects{}, fmt.Errorf("this is not what kubectl get -o json prints: %w", err)
		}
	}
}

// document looks at one object, or at those of a list. In a list that the API made,
// the objects have no kind.
func (o *Objects) document(raw json.RawMessage) error {
	var h head
	if err := json.Unmarshal(raw, &h); err != nil {
		return err
	}
	switch {
	case h.Items == nil && h.Kind == "":
		return errors.New("it has neither kind nor items")
	case h.Items == nil:
		return o.object(raw, h)
	}
	o.Continue = h.Metadata.Continue
	for _, item := range *h.Items {
		var ih head
		if err := json.Unmarshal(item, &ih); err != nil {
			return err
		}
		if ih.Kind == "" {
			ih.Kind = strings.TrimSuffix(h.Kind, "List")
		}
		if err := o.object(item, ih); err != nil {
			return err
		}
	}
	return nil
}

func (o *Objects) object(raw json.RawMessage, h head) error {
	who := h.Kind + " " + h.Metadata.Name
	if h.Metadata.Namespace != "" {
		who = h.Kind + " " + h.Metadata.Namespace + "/" + h.Metadata.Name
	}
	if h.Kind == "Pod" {
		var p pod
		if err := json.Unmarshal(raw, &p); err != nil {
			return fmt.Errorf("%s: %w", who, err)
		}
		o.pod(p, who)
		return nil
	}
	var (
		w   workload
		err error
	)
	if h.Kind == "ControllerRevision" {
		var r revision
		err = json.Unmarshal(raw, &r)
		w = r.Data
	} else {
		err = json.Unmarshal(raw, &w)
	}
	switch known := templated[h.Kind]; {
	case err != nil && known:
		return fmt.Errorf("%s: %w", who, err)
	case err != nil: // a kind that has something else there
		o.unknown(h.Kind, 1)
		return nil
	}
	var specs []podSpec
	if t := w.Spec.Template; t != nil {
		specs = append(specs, t.Spec)
	}
	if j := w.Spec.JobTemplate; j != nil && j.Spec.Template != nil {
		specs = append(specs, j.Spec.Template.Spec)
	}
	if len(specs) == 0 && !templated[h.Kind] {
		o.unknown(h.Kind, 1)
		return nil
	}
	o.Looked++
	for _, s := range specs {
		o.spec(s, who)
	}
	return nil
}

// templated are the kinds of Kubernetes' own that make pods. Others that have
// a template in the same place, such as Argo's Rollout, are read as well.
var templated = map[string]bool{
	"Deployment": true, "StatefulSet": true, "DaemonSet": true, "ReplicaSet": true, "ReplicationController": true,
	"Job": true, "CronJob": true, "ControllerRevision": true,
}

func (o *Objects) pod(p pod, who string) {
	if p.Status.Phase == "Succeeded" || p.Status.Phase == "Failed" {
		o.Ended++
		return
	}
	o.Looked++
	asked := o.spec(p.Spec, who)
	for _, list := range [][]container{p.Status.Init, p.Status.Containers, p.Status.Ephemeral} {
		for _, c := range list {
			o.running(c, asked[c.Name], who)
		}
	}
}

// spec records what a pod is to run, and returns the image of each container.
func (o *Objects) spec(s podSpec, who string) map[string]string {
	asked := map[string]string{}
	for _, list := range [][]container{s.Init, s.Containers, s.Ephemeral} {
		for _, c := range list {
			o.use(c.Image, who, "container "+c.Name)
			asked[c.Name] = c.Image
		}
	}
	for _, v := range s.Volumes {
		if v.Image != nil {
			o.use(v.Image.Reference, who, "volume "+v.Name)
		}
	}
	return asked
}

func (o *Objects) use(image, who, part string) {
	if image == "" {
		return // a template that something else fills in
	}
	o.Uses = append(o.Uses, Use{image, who + ", " + part})
}

// imageIDSchemes are what runtimes have put before an imageID.
var imageIDSchemes = []string{"docker-pullable://", "docker://", "containerd://", "cri-o://"}

// running records what a container's status says it runs. An imageID names a
// repository and a digest; one that is a bare digest is the runtime's own name
// for the unpacked image and nothing that a registry knows. A runtime that has
// the same content from two repositories names whichever it likes, so the
// digest counts in the repository that was asked for as well.
func (o *Objects) running(c container, asked, who string) {
	id := c.ImageID
	for _, s := range imageIDSchemes {
		id = strings.TrimPrefix(id, s)
	}
	r, err := ParseReference(id)
	if err != nil || r.Image.Digest == "" {
		return
	}
	o.use(id, who, "container "+c.Name)
	a, err := ParseReference(asked)
	if err != nil || a.Host == r.Host && a.Repository == r.Repository {
		return
	}
	o.use(a.Host+"/"+a.Repository+"@"+string(r.Image.Digest), who, "container "+c.Name)
}
