# METADATA
# title: No scanner is left without an answer, and nothing bad ships
package release

deny contains {"rule": "looked", "message": message} if {
	some name, scan in input.scans
	scan.status == "unknown"
	message := sprintf("%s could not look", [name])
}

deny contains {"rule": "findings", "message": message, "evidence": found} if {
	some found in input.findings
	found.severity in {"high", "critical", "unknown"}
	found.excepted == null
	message := sprintf("%s found %s", [found.scanner, found.rule])
}
