# METADATA
# title: The image comes from a known builder, and its provenance says so
package release

builders := {"https://builder.example.org/ci"}

deny contains {"rule": "builder", "message": message} if {
	not input.builder.id in builders
	message := sprintf("it was built by %s", [input.builder.id])
}

deny contains {"rule": "commit", "message": message} if {
	input.provenance.commit != input.commit
	message := sprintf("its provenance speaks of the commit %v, %s is released", [input.provenance.commit, input.commit])
}

deny contains {"rule": "verified", "message": "its provenance is not verified"} if {
	not input.provenance.verified
}
