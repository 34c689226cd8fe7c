package check

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"ociproxy/internal/config"
	"ociproxy/internal/inventory/inventorytest"
)

// The state of a store's inventory is reported, in words and for programs. A store without one in the config has no
// line.
func TestInventories(t *testing.T) {
	segment := strings.Repeat("ab", 32)
	now := time.Now()
	good := inventorytest.Truth("s3", segment, now.Add(-5*time.Minute))
	for name, tt := range map[string]struct {
		head   string
		status int
		bytes  int // of the segment; 0: it does not exist
		most   int
		filled bool
		state  InventoryState
		result Result
		detail string
	}{
		"believed":       {head: good, bytes: 100, state: InventoryCurrent, result: Info, detail: "2 records in 1 segment, written 5m"},
		"empty":          {head: strings.Replace(good, `[{"sha256":"`+segment+`","count":2,"bytes":100}]`, "[]", 1), state: InventoryCurrent, result: Info, detail: "0 records in 0 segments"},
		"stale":          {head: inventorytest.Truth("s3", segment, now.Add(-30*time.Hour)), bytes: 100, state: InventoryStale, result: Warning, detail: "written 30h0m"},
		"missing":        {status: 404, state: InventoryMissing, result: Warning, detail: "404 for head.json"},
		"not public":     {status: 403, state: InventoryMissing, result: Warning, detail: "403 for head.json"},
		"another's":      {head: inventorytest.Truth("other", segment, now), bytes: 100, state: InventoryForeign, result: Failed, detail: `"other"`},
		"no head":        {head: "<html>", state: InventoryUnread, result: Failed, detail: "HTML"},
		"broken":         {head: "{", state: InventoryRefused, result: Failed, detail: "bad head"},
		"of the future":  {head: inventorytest.Truth("s3", segment, now.Add(48*time.Hour)), bytes: 100, state: InventoryRefused, result: Failed, detail: "in the future"},
		"too long":       {head: good, bytes: 100, most: 1, state: InventoryRefused, result: Failed, detail: "limits.storeRecords"},
		"giant":          {head: strings.Repeat(" ", 65<<10), state: InventoryRefused, result: Failed, detail: "more than 64 KiB"},
		"not whole":      {head: good, state: InventoryRefused, result: Failed, detail: "404 for abab"},
		"short segment":  {head: good, bytes: 99, state: InventoryRefused, result: Failed, detail: "99 bytes, not 100"},
		"down":           {status: 503, state: InventoryUnread, result: Failed, detail: "503"},
		"while it fills": {head: "{", filled: true, state: InventoryRefused, result: Warning, detail: "bad head"},
	} {
		t.Run(name, func(t *testing.T) {
			im := newImage()
			w := newWorld(t, im.registry())
			s := w.store("s3", http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/inventory/head.json":
					if tt.status != 0 {
						rw.WriteHeader(tt.status)
						return
					}
					_, _ = fmt.Fprint(rw, tt.head)
				case "/inventory/seg/" + segment:
					if tt.bytes == 0 {
						http.NotFound(rw, r)
						return
					}
					rw.Header().Set("Content-Length", fmt.Sprint(tt.bytes))
				default:
					im.store().ServeHTTP(rw, r)
				}
			}))
			s.Inventory = config.Inventory{URL: strings.TrimSuffix(s.URL, "images/{digest}") + "inventory/", StaleAfter: 24 * time.Hour}
			if tt.filled {
				s.State = config.Filling
			}
			w.store("plain", im.store())
			w.cfg.Limits.StoreRecords = tt.most
			r := w.live()
			expect(t, r, "s3", "inventory", tt.result, tt.detail, "")
			if len(r.Inventories) != 1 {
				t.Fatalf("%+v", r.Inventories)
			}
			inv := r.Inventories[0]
			if inv.Store != "s3" || inv.State != tt.state || inv.Believed != (tt.state == InventoryCurrent) || (inv.Error == "") != inv.Believed && inv.State != InventoryStale {
				t.Errorf("%+v", inv)
			}
			if tt.state == InventoryCurrent && name == "believed" && (inv.Records != 2 || inv.Segments != 1 || inv.AgeSeconds < 299 || inv.Says != "s3") {
				t.Errorf("%+v", inv)
			}
			if text, err := json.Marshal(r); err != nil || !strings.Contains(string(text), `"inventories":[{"store":"s3"`) {
				t.Errorf("%s, %v", text, err)
			}
		})
	}
}
