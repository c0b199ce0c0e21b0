package planes

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// kinds are the Kubernetes resources whose kind is not their name with a capital and without its last letter.
var kinds = map[string]string{
	"customresourcedefinitions": "CustomResourceDefinition", "endpointslices": "EndpointSlice", "ingresses": "Ingress",
	"ingressclasses": "IngressClass", "mutatingwebhookconfigurations": "MutatingWebhookConfiguration",
	"validatingwebhookconfigurations": "ValidatingWebhookConfiguration", "configmaps": "ConfigMap", "serviceaccounts": "ServiceAccount",
}

// emptyKube serves the API of a Kubernetes cluster in which there is nothing, and gives its URL. Istio's discovery server does not
// start without one, although all of its configuration comes from files here.
func emptyKube(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(serveKube)}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return "http://" + l.Addr().String()
}

func serveKube(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	fail := func(code int, reason string) {
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d}`, reason, code)
	}
	group, resource, named := place(r.URL.Path)
	q := r.URL.Query()
	switch {
	case r.URL.Path == "/version":
		_, _ = io.WriteString(w, `{"major":"1","minor":"34","gitVersion":"v1.34.0"}`)
	case resource == "" || r.Method == http.MethodGet && named:
		fail(http.StatusNotFound, "NotFound")
	case r.Method != http.MethodGet: // what is written is taken, and forgotten
		var body map[string]any
		if json.NewDecoder(r.Body).Decode(&body) != nil {
			fail(http.StatusUnprocessableEntity, "Invalid")
			return
		}
		_ = json.NewEncoder(w).Encode(body)
	case q.Get("sendInitialEvents") != "": // the client lists then
		fail(http.StatusBadRequest, "BadRequest")
	case q.Get("watch") != "":
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	default:
		kind := kinds[resource]
		if kind == "" {
			kind = strings.ToUpper(resource[:1]) + strings.TrimSuffix(resource[1:], "s")
		}
		if strings.Contains(r.Header.Get("Accept"), "as=PartialObjectMetadataList") {
			kind, group = "PartialObjectMetadata", "meta.k8s.io/v1"
		}
		fmt.Fprintf(w, `{"kind":%q,"apiVersion":%q,"metadata":{"resourceVersion":"1"},"items":[]}`, kind+"List", group)
	}
}

// place takes a path of the API apart: /api/v1/namespaces/NS/pods/NAME, /apis/GROUP/VERSION/things.
func place(path string) (group, resource string, named bool) {
	p := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case len(p) >= 3 && p[0] == "api":
		group, p = p[1], p[2:]
	case len(p) >= 4 && p[0] == "apis":
		group, p = p[1]+"/"+p[2], p[3:]
	default:
		return "", "", false
	}
	if len(p) > 2 && p[0] == "namespaces" {
		p = p[2:]
	}
	return group, p[0], len(p) > 1
}
