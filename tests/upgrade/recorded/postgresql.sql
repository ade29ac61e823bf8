CREATE TABLE releases (
	id VARCHAR(600) NOT NULL, 
	app VARCHAR(64) NOT NULL, 
	dag_id VARCHAR(255) NOT NULL, 
	run_id VARCHAR(255) NOT NULL, 
	version VARCHAR(255) NOT NULL, 
	commit VARCHAR(64), 
	digest VARCHAR(80), 
	image VARCHAR(512), 
	evidence JSON, 
	reason TEXT, 
	notes TEXT, 
	requester VARCHAR(255), 
	outcome VARCHAR(32), 
	sentence TEXT, 
	direction VARCHAR(16) DEFAULT 'forward' NOT NULL, 
	started_at DOUBLE PRECISION NOT NULL, 
	ended_at DOUBLE PRECISION, 
	promoted_at DOUBLE PRECISION, 
	schema_version INTEGER NOT NULL, 
	CONSTRAINT pk_releases PRIMARY KEY (id)
);
CREATE INDEX ix_releases_app_started_at ON releases (app, started_at);
CREATE INDEX ix_releases_app_version ON releases (app, version);
CREATE TABLE release_events (
	id SERIAL NOT NULL, 
	release_id VARCHAR(600) NOT NULL, 
	at DOUBLE PRECISION NOT NULL, 
	kind VARCHAR(64) NOT NULL, 
	environment VARCHAR(64), 
	sentence TEXT NOT NULL, 
	data JSON, 
	CONSTRAINT pk_release_events PRIMARY KEY (id), 
	CONSTRAINT fk_release_events_release_id FOREIGN KEY(release_id) REFERENCES releases (id) ON DELETE CASCADE
);
CREATE INDEX ix_release_events_release_id ON release_events (release_id);
CREATE TABLE release_verdicts (
	id SERIAL NOT NULL, 
	release_id VARCHAR(600) NOT NULL, 
	environment VARCHAR(64) NOT NULL, 
	step VARCHAR(64) NOT NULL, 
	weight INTEGER NOT NULL, 
	judgement VARCHAR(16) NOT NULL, 
	decided_at DOUBLE PRECISION NOT NULL, 
	accepted_at DOUBLE PRECISION, 
	metrics JSON NOT NULL, 
	sentence TEXT NOT NULL, 
	CONSTRAINT pk_release_verdicts PRIMARY KEY (id), 
	CONSTRAINT uq_release_verdicts_release_id UNIQUE (release_id, environment, step, decided_at), 
	CONSTRAINT fk_release_verdicts_release_id FOREIGN KEY(release_id) REFERENCES releases (id) ON DELETE CASCADE
);
CREATE INDEX ix_release_verdicts_release_id ON release_verdicts (release_id);
CREATE TABLE release_measurements (
	id SERIAL NOT NULL, 
	release_id VARCHAR(600) NOT NULL, 
	environment VARCHAR(64) NOT NULL, 
	step VARCHAR(64) NOT NULL, 
	metric VARCHAR(64) NOT NULL, 
	at DOUBLE PRECISION NOT NULL, 
	value DOUBLE PRECISION, 
	bad DOUBLE PRECISION, 
	total DOUBLE PRECISION, 
	error TEXT, 
	stable_bad DOUBLE PRECISION, 
	stable_total DOUBLE PRECISION, 
	CONSTRAINT pk_release_measurements PRIMARY KEY (id), 
	CONSTRAINT uq_release_measurements_release_id UNIQUE (release_id, environment, step, metric, at), 
	CONSTRAINT fk_release_measurements_release_id FOREIGN KEY(release_id) REFERENCES releases (id) ON DELETE CASCADE
);
CREATE INDEX ix_release_measurements_release_id ON release_measurements (release_id);
CREATE TABLE release_approvals (
	id SERIAL NOT NULL, 
	release_id VARCHAR(600) NOT NULL, 
	digest VARCHAR(80) NOT NULL, 
	decision VARCHAR(16) NOT NULL, 
	by VARCHAR(255), 
	at DOUBLE PRECISION NOT NULL, 
	note TEXT, 
	CONSTRAINT pk_release_approvals PRIMARY KEY (id), 
	CONSTRAINT fk_release_approvals_release_id FOREIGN KEY(release_id) REFERENCES releases (id) ON DELETE CASCADE
);
CREATE INDEX ix_release_approvals_release_id ON release_approvals (release_id);
CREATE TABLE release_commands (
	id SERIAL NOT NULL, 
	release_id VARCHAR(600) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	by VARCHAR(255) NOT NULL, 
	reason TEXT, 
	at DOUBLE PRECISION NOT NULL, 
	answered_at DOUBLE PRECISION, 
	effect TEXT, 
	CONSTRAINT pk_release_commands PRIMARY KEY (id), 
	CONSTRAINT fk_release_commands_release_id FOREIGN KEY(release_id) REFERENCES releases (id) ON DELETE CASCADE
);
CREATE INDEX ix_release_commands_release_id ON release_commands (release_id);
CREATE INDEX ix_release_commands_answered_at ON release_commands (answered_at);
CREATE TABLE release_reports (
	id SERIAL NOT NULL, 
	release_id VARCHAR(600) NOT NULL, 
	name VARCHAR(128) NOT NULL, 
	media_type VARCHAR(64) NOT NULL, 
	at DOUBLE PRECISION NOT NULL, 
	content TEXT NOT NULL, 
	CONSTRAINT pk_release_reports PRIMARY KEY (id), 
	CONSTRAINT uq_release_reports_release_id UNIQUE (release_id, name), 
	CONSTRAINT fk_release_reports_release_id FOREIGN KEY(release_id) REFERENCES releases (id) ON DELETE CASCADE
);
CREATE INDEX ix_release_reports_release_id ON release_reports (release_id);
CREATE TABLE release_alembic_version (version_num VARCHAR(32) NOT NULL, PRIMARY KEY (version_num));
INSERT INTO release_alembic_version (version_num) VALUES ('0002');
