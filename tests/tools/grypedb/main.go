// Makes a database for Grype in a folder, of a JSON list on standard input: what is known of packages of Python or npm.
package main

import (
	"encoding/json"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/afero"

	"github.com/anchore/grype/grype/db/v6"
)

type advisory struct {
	ID, Severity, Ecosystem, Package, Constraint, Fixed string
	Aliases                                             []string
}

func main() {
	var known []advisory
	check(json.NewDecoder(os.Stdin).Decode(&known))
	folder := filepath.Join(os.Args[1], strconv.Itoa(v6.ModelVersion))
	check(os.MkdirAll(folder, 0o700))
	db, err := v6.NewWriter(v6.Config{DBDirPath: folder, CacheSizeKiB: 1024})
	check(err)
	check(db.SetDBMetadata())
	captured := time.Now().UTC()
	provider := &v6.Provider{ID: "github", Version: "1", Processor: "tests", DateCaptured: &captured, InputDigest: "sha256:0"}
	for _, it := range known {
		severity := []v6.Severity{{Scheme: v6.SeveritySchemeCHML, Value: it.Severity}}
		vulnerability := &v6.VulnerabilityHandle{
			Name: it.ID, Status: v6.VulnerabilityActive, Provider: provider, ProviderID: provider.ID,
			BlobValue: &v6.VulnerabilityBlob{ID: it.ID, Description: it.ID, Aliases: it.Aliases, Severities: severity},
		}
		check(db.AddVulnerabilities(vulnerability))
		fix := &v6.Fix{Version: it.Fixed, State: v6.FixedStatus}
		if it.Fixed == "" {
			fix.State = v6.NotFixedStatus
		}
		ranges := []v6.Range{{Version: v6.Version{Type: it.Ecosystem, Constraint: it.Constraint}, Fix: fix}}
		check(db.AddAffectedPackages(&v6.AffectedPackageHandle{
			Vulnerability: vulnerability,
			Package:       &v6.Package{Ecosystem: it.Ecosystem, Name: it.Package},
			BlobValue:     &v6.PackageBlob{CVEs: it.Aliases, Ranges: ranges},
		}))
	}
	check(db.Close())
	_, err = v6.WriteImportMetadata(afero.NewOsFs(), folder, "tests")
	check(err)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
