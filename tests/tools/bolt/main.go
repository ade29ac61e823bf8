// Makes a bbolt database, like Trivy's, of a JSON list on standard input: [[["bucket", …, "key"], value], …].
package main

import (
	"encoding/json"
	"log"
	"os"

	"go.etcd.io/bbolt"
)

func main() {
	var entries [][2]json.RawMessage
	if err := json.NewDecoder(os.Stdin).Decode(&entries); err != nil {
		log.Fatal(err)
	}
	db, err := bbolt.Open(os.Args[1], 0o600, nil)
	if err != nil {
		log.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, it := range entries {
			var path []string
			if err := json.Unmarshal(it[0], &path); err != nil {
				return err
			}
			bucket, err := tx.CreateBucketIfNotExists([]byte(path[0]))
			for _, name := range path[1 : len(path)-1] {
				if err == nil {
					bucket, err = bucket.CreateBucketIfNotExists([]byte(name))
				}
			}
			if err == nil {
				err = bucket.Put([]byte(path[len(path)-1]), it[1])
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := db.Close(); err != nil {
		log.Fatal(err)
	}
}
