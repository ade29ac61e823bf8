BEGIN TRANSACTION;
CREATE TABLE release_alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT release_alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "release_alembic_version" VALUES('0002');
CREATE TABLE release_approvals (
	id INTEGER NOT NULL, 
	release_id VARCHAR(600) NOT NULL, 
	digest VARCHAR(80) NOT NULL, 
	decision VARCHAR(16) NOT NULL, 
	"by" VARCHAR(255), 
	at DOUBLE NOT NULL, 
	note TEXT, 
	CONSTRAINT pk_release_approvals PRIMARY KEY (id), 
	CONSTRAINT fk_release_approvals_release_id FOREIGN KEY(release_id) REFERENCES releases (id) ON DELETE CASCADE
);
INSERT INTO "release_approvals" VALUES(1,'release_shop/manual__2026-11-26T03:20:48.158178+00:00#0','sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb','approved','bob',1.79566342242152380938e+09,NULL);
CREATE TABLE release_commands (
	id INTEGER NOT NULL, 
	release_id VARCHAR(600) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	"by" VARCHAR(255) NOT NULL, 
	reason TEXT, 
	at DOUBLE NOT NULL, 
	answered_at DOUBLE, 
	effect TEXT, 
	CONSTRAINT pk_release_commands PRIMARY KEY (id), 
	CONSTRAINT fk_release_commands_release_id FOREIGN KEY(release_id) REFERENCES releases (id) ON DELETE CASCADE
);
CREATE TABLE release_events (
	id INTEGER NOT NULL, 
	release_id VARCHAR(600) NOT NULL, 
	at DOUBLE NOT NULL, 
	kind VARCHAR(64) NOT NULL, 
	environment VARCHAR(64), 
	sentence TEXT NOT NULL, 
	data JSON, 
	CONSTRAINT pk_release_events PRIMARY KEY (id), 
	CONSTRAINT fk_release_events_release_id FOREIGN KEY(release_id) REFERENCES releases (id) ON DELETE CASCADE
);
INSERT INTO "release_events" VALUES(1,'release_shop/manual__2026-11-26T03:20:48.158178+00:00#0',1.79566340646301293368e+09,'deployed','staging','1.1.0 on stable, in place of 1.0.0','{"environment": "staging", "platform": "container_host", "track": "stable", "digest": "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "version": "1.1.0", "previous_digest": "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "previous_version": "1.0.0", "first": false, "good": {"app": "shop", "version": "1.0.0", "image": "OUTSIDE/shop", "digest": "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "commit": null, "evidence": {}}, "changed": true}');
INSERT INTO "release_events" VALUES(2,'release_shop/manual__2026-11-26T03:20:48.158178+00:00#0',1.79566341338671708102e+09,'deployed','staging','1.1.0 on stable, in place of 1.1.0','{"environment": "staging", "platform": "container_host", "track": "stable", "digest": "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "version": "1.1.0", "previous_digest": "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "previous_version": "1.1.0", "first": false, "good": {"app": "shop", "version": "1.0.0", "image": "OUTSIDE/shop", "digest": "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "commit": null, "evidence": {}}, "changed": false}');
INSERT INTO "release_events" VALUES(3,'release_shop/manual__2026-11-26T03:20:48.158178+00:00#0',1.7956634310950887203e+09,'deployed','production','1.1.0 on canary, in place of 1.0.0','{"environment": "production", "platform": "container_host", "track": "canary", "digest": "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "version": "1.1.0", "previous_digest": "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "previous_version": "1.0.0", "first": false, "good": {"app": "shop", "version": "1.0.0", "image": "OUTSIDE/shop", "digest": "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "commit": null, "evidence": {}}, "changed": true}');
CREATE TABLE release_measurements (
	id INTEGER NOT NULL, 
	release_id VARCHAR(600) NOT NULL, 
	environment VARCHAR(64) NOT NULL, 
	step VARCHAR(64) NOT NULL, 
	metric VARCHAR(64) NOT NULL, 
	at DOUBLE NOT NULL, 
	value DOUBLE, 
	bad DOUBLE, 
	total DOUBLE, 
	error TEXT, 
	stable_bad DOUBLE, 
	stable_total DOUBLE, 
	CONSTRAINT pk_release_measurements PRIMARY KEY (id), 
	CONSTRAINT fk_release_measurements_release_id FOREIGN KEY(release_id) REFERENCES releases (id) ON DELETE CASCADE, 
	CONSTRAINT uq_release_measurements_release_id UNIQUE (release_id, environment, step, metric, at)
);
INSERT INTO "release_measurements" VALUES(1,'release_shop/manual__2026-11-26T03:20:48.158178+00:00#0','production','step_10','errors',1.79566344032888722424e+09,0.0,0.0,1000.0,NULL,0.0,1000.0);
CREATE TABLE release_reports (
	id INTEGER NOT NULL, 
	release_id VARCHAR(600) NOT NULL, 
	name VARCHAR(128) NOT NULL, 
	media_type VARCHAR(64) NOT NULL, 
	at DOUBLE NOT NULL, 
	content TEXT NOT NULL, 
	CONSTRAINT pk_release_reports PRIMARY KEY (id), 
	CONSTRAINT fk_release_reports_release_id FOREIGN KEY(release_id) REFERENCES releases (id) ON DELETE CASCADE, 
	CONSTRAINT uq_release_reports_release_id UNIQUE (release_id, name)
);
CREATE TABLE release_verdicts (
	id INTEGER NOT NULL, 
	release_id VARCHAR(600) NOT NULL, 
	environment VARCHAR(64) NOT NULL, 
	step VARCHAR(64) NOT NULL, 
	weight INTEGER NOT NULL, 
	judgement VARCHAR(16) NOT NULL, 
	decided_at DOUBLE NOT NULL, 
	accepted_at DOUBLE, 
	metrics JSON NOT NULL, 
	sentence TEXT NOT NULL, 
	CONSTRAINT pk_release_verdicts PRIMARY KEY (id), 
	CONSTRAINT fk_release_verdicts_release_id FOREIGN KEY(release_id) REFERENCES releases (id) ON DELETE CASCADE, 
	CONSTRAINT uq_release_verdicts_release_id UNIQUE (release_id, environment, step, decided_at)
);
INSERT INTO "release_verdicts" VALUES(1,'release_shop/manual__2026-11-26T03:20:48.158178+00:00#0','production','step_10',10,'pass',1795663440.57701,1.79566344058986091612e+09,'[{"metric": "errors", "judgement": "pass", "value": 0.0, "limit": 0.01, "measurements": 1, "critical": true, "evidence": null, "sentence": "error rate 0 % over 1,000 requests, limit 1 % (stable: 0 %)"}]','error rate 0 % over 1,000 requests, limit 1 % (stable: 0 %)');
CREATE TABLE releases (
	id VARCHAR(600) NOT NULL, 
	app VARCHAR(64) NOT NULL, 
	dag_id VARCHAR(255) NOT NULL, 
	run_id VARCHAR(255) NOT NULL, 
	version VARCHAR(255) NOT NULL, 
	"commit" VARCHAR(64), 
	digest VARCHAR(80), 
	image VARCHAR(512), 
	evidence JSON, 
	reason TEXT, 
	notes TEXT, 
	requester VARCHAR(255), 
	outcome VARCHAR(32), 
	sentence TEXT, 
	direction VARCHAR(16) DEFAULT 'forward' NOT NULL, 
	started_at DOUBLE NOT NULL, 
	ended_at DOUBLE, 
	promoted_at DOUBLE, 
	schema_version INTEGER NOT NULL, 
	CONSTRAINT pk_releases PRIMARY KEY (id)
);
INSERT INTO "releases" VALUES('release_shop/before-1.0.0#0','shop','release_shop','before-1.0.0','1.0.0',NULL,'sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','OUTSIDE/shop','{}',NULL,NULL,'carol','released','Released 1.0.0.','forward',1.79566324440264511114e+09,1.79566324471630978584e+09,1.79566324466924715037e+09,2);
INSERT INTO "releases" VALUES('release_shop/manual__2026-11-26T03:20:48.158178+00:00#0','shop','release_shop','manual__2026-11-26T03:20:48.158178+00:00','1.1.0',NULL,'sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb','OUTSIDE/shop','{}',NULL,'cheaper','dag_test',NULL,NULL,'forward',1.79566338525075101847e+09,NULL,NULL,2);
CREATE INDEX ix_releases_app_started_at ON releases (app, started_at);
CREATE INDEX ix_releases_app_version ON releases (app, version);
CREATE INDEX ix_release_events_release_id ON release_events (release_id);
CREATE INDEX ix_release_verdicts_release_id ON release_verdicts (release_id);
CREATE INDEX ix_release_measurements_release_id ON release_measurements (release_id);
CREATE INDEX ix_release_approvals_release_id ON release_approvals (release_id);
CREATE INDEX ix_release_commands_release_id ON release_commands (release_id);
CREATE INDEX ix_release_commands_answered_at ON release_commands (answered_at);
CREATE INDEX ix_release_reports_release_id ON release_reports (release_id);
COMMIT;
