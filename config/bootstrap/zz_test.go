package bootstrap
import ("testing";"fmt";"os";"path/filepath";"strings";"sort"
 bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
 "go.yaml.in/yaml/v3"
 "github.com/weirproxy/weir/config/yamlproto"
 "github.com/weirproxy/weir/config/support")
func TestEx(t *testing.T){
 fs,_ := filepath.Glob("/tmp/yp_ex/*.yaml")
 ok := 0
 for _, f := range fs { data,_ := os.ReadFile(f)
  m := &bootstrapv3.Bootstrap{}
  x, err := yamlproto.Unmarshal(data, m, yamlproto.Options{File: filepath.Base(f)})
  if err != nil { fmt.Println(err); continue }
  if es := x.Validate(m); es != nil { fmt.Println(es) ; continue }
  ok++ }
 fmt.Println("examples ok", ok, "of", len(fs))
 // EG
 kinds := map[string]string{"listeners":"envoy.config.listener.v3.Listener","routes":"envoy.config.route.v3.RouteConfiguration","clusters":"envoy.config.cluster.v3.Cluster","endpoints":"envoy.config.endpoint.v3.ClusterLoadAssignment"}
 fs,_ = filepath.Glob("/tmp/yp_eg/*.yaml")
 scen := map[string]bool{}; why := map[string]map[string]bool{}; parse := 0
 for _, f := range fs { parts := strings.Split(filepath.Base(f), "."); k := kinds[parts[len(parts)-2]]; if k == "" { continue }
  name := parts[0]
  if _, ok := scen[name]; !ok { scen[name] = true }
  data,_ := os.ReadFile(f)
  var list []map[string]any
  if err := yaml.Unmarshal(data,&list); err != nil { fmt.Println(f, err); continue }
  for _, e := range list { e["@type"]="type.googleapis.com/"+k }
  out,_ := yaml.Marshal(list)
  rs, err := yamlproto.UnmarshalResources(out, yamlproto.Options{File: filepath.Base(f)})
  if err != nil { s := err.Error(); if len(s) > 400 { s = s[:400] }; fmt.Println(s); scen[name]=false; continue }
  parse++
  for _, r := range rs { if es := r.Index.Validate(r.Any); es != nil { fmt.Println(es) }
   for _, x := range support.Check(r.Any, r.Name, support.Degrade) { if x.Rejects() { scen[name]=false; if why[x.Field]==nil { why[x.Field]=map[string]bool{} }; why[x.Field][name]=true } } }
 }
 good := 0; for _, v := range scen { if v { good++ } }
 fmt.Println("EG", len(scen), "good", good, "files", parse)
 var keys []string; for k := range why { keys = append(keys,k) }
 sort.Slice(keys, func(i,j int) bool { return len(why[keys[i]]) > len(why[keys[j]]) })
 for i, k := range keys { if i < 45 { fmt.Println(len(why[k]), k) } }
}
