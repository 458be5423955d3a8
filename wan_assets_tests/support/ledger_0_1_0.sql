-- A ledger of release 0.1.0 with money: stored, failed, submitted by a process that was killed, and simulated tasks.
BEGIN TRANSACTION;
CREATE TABLE wan_ledger (
	name VARCHAR(32) NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (name)
);
INSERT INTO "wan_ledger" VALUES('schema_version','4');
CREATE TABLE wan_media (
	reference VARCHAR(80) NOT NULL, 
	base_url VARCHAR(200) NOT NULL, 
	media_uuid VARCHAR(64) NOT NULL, 
	used_at FLOAT NOT NULL, 
	PRIMARY KEY (reference, base_url)
);
CREATE TABLE wan_overcharges (
	task_uuid VARCHAR(36) NOT NULL, 
	reserved_microusd BIGINT NOT NULL, 
	excess_microusd BIGINT NOT NULL, 
	PRIMARY KEY (task_uuid)
);
CREATE TABLE wan_prices (
	kind VARCHAR(128) NOT NULL, 
	tasks INTEGER NOT NULL, 
	cost_microusd BIGINT NOT NULL, 
	recent TEXT NOT NULL, 
	PRIMARY KEY (kind)
);
INSERT INTO "wan_prices" VALUES('real 1 x 480p 5 s from text',5,2365000,'[473000, 473000, 473000, 473000, 473000]');
INSERT INTO "wan_prices" VALUES('simulated 1 x 480p 5 s from text',1,473000,'[473000]');
CREATE TABLE wan_runs (
	owner TEXT NOT NULL, 
	run_id VARCHAR(64) NOT NULL, 
	lease_until FLOAT NOT NULL, 
	PRIMARY KEY (owner)
);
INSERT INTO "wan_runs" VALUES('host-pid-4026531836.19758.6311f1595c0e','e46f26ff-99e2-4720-9bd9-8efaa610c20b',1.79604580371861171717e+09);
CREATE TABLE wan_spend (
	scope VARCHAR(128) NOT NULL, 
	committed_microusd BIGINT NOT NULL, 
	PRIMARY KEY (scope)
);
INSERT INTO "wan_spend" VALUES('real total',4730000);
INSERT INTO "wan_spend" VALUES('real day 2026-11-30',4730000);
INSERT INTO "wan_spend" VALUES('real run 44a5ae3e-7b98-431f-a4a9-4e14d08c5939',3311000);
INSERT INTO "wan_spend" VALUES('real run e46f26ff-99e2-4720-9bd9-8efaa610c20b',1419000);
INSERT INTO "wan_spend" VALUES('simulated total',473000);
INSERT INTO "wan_spend" VALUES('simulated day 2026-11-30',473000);
INSERT INTO "wan_spend" VALUES('simulated run cdc4e56c-0ea3-46a8-acf9-8b8a3782533d',473000);
CREATE TABLE wan_tasks (
	task_uuid VARCHAR(36) NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	attempt INTEGER NOT NULL, 
	is_simulated BOOLEAN NOT NULL, 
	state VARCHAR(16) NOT NULL, 
	number_results INTEGER NOT NULL, 
	reserved_microusd BIGINT NOT NULL, 
	cost_microusd BIGINT NOT NULL, 
	request TEXT NOT NULL, 
	results TEXT NOT NULL, 
	run_id VARCHAR(64) NOT NULL, 
	asset TEXT NOT NULL, 
	partition TEXT NOT NULL, 
	prompt_id TEXT NOT NULL, 
	purchase TEXT NOT NULL, 
	created_at VARCHAR(32) NOT NULL, 
	submitted_at VARCHAR(32), 
	finished_at VARCHAR(32), 
	error_code TEXT, 
	error_message TEXT, 
	owner TEXT, 
	lease_until FLOAT, 
	PRIMARY KEY (task_uuid)
);
INSERT INTO "wan_tasks" VALUES('f1bdb16b-d7ef-4aaa-9090-a4eb1e4587ab','4f904d0b221b055f79782463c227e89a5fe88a2435e66186595626ccf24305ad',1,0,'stored',1,0,473000,'{"positivePrompt":"A kite 0","resolution":"480p"}','[{"video_uuid": "489710c9-6266-5ad0-a47d-278f226146c0", "seed": 7, "uri": "out/videos/videos/4f/4f904d0b221b055f79782463c227e89a5fe88a2435e66186595626ccf24305ad/f1bdb16b-d7ef-4aaa-9090-a4eb1e4587ab-1.mp4", "sha256": "becc9112ffde636139ad5bae2362023edb2be66db0d0c5b28652f66c8198ea8e"}]','44a5ae3e-7b98-431f-a4a9-4e14d08c5939','videos','row-0','row-0','','2026-11-30T13:35:28.804+00:00','2026-11-30T13:35:28.817+00:00','2026-11-30T13:35:31.267+00:00',NULL,NULL,NULL,1.79604577380649375918e+09);
INSERT INTO "wan_tasks" VALUES('ecb40710-2d94-4614-bba5-bbdc79e190c6','5f871bbf326ce83a8b0329559ca70d2d4ace94e651af38dbedfa9bfb613b7501',1,0,'failed',1,473000,0,'{"positivePrompt":"A kite 1","resolution":"480p"}','[]','44a5ae3e-7b98-431f-a4a9-4e14d08c5939','videos','row-1','row-1','','2026-11-30T13:35:28.806+00:00','2026-11-30T13:35:28.818+00:00','2026-11-30T13:35:30.835+00:00','providerError','The provider failed.',NULL,1.79604577380707168578e+09);
INSERT INTO "wan_tasks" VALUES('72e598dc-3cdc-42b8-8488-737d80b3dcd8','e384b0b4e928fc2a1b6bf743201d712820b90cce2ef1f7c737df552960131edd',1,0,'stored',1,473000,0,'{"positivePrompt":"A kite 2","resolution":"480p"}','[{"video_uuid": "446bc0e2-e02d-51b3-820f-dda55be1ef12", "seed": 7, "uri": "out/videos/videos/e3/e384b0b4e928fc2a1b6bf743201d712820b90cce2ef1f7c737df552960131edd/72e598dc-3cdc-42b8-8488-737d80b3dcd8-1.mp4", "sha256": "becc9112ffde636139ad5bae2362023edb2be66db0d0c5b28652f66c8198ea8e"}]','44a5ae3e-7b98-431f-a4a9-4e14d08c5939','videos','row-2','row-2','','2026-11-30T13:35:28.809+00:00','2026-11-30T13:35:28.818+00:00','2026-11-30T13:35:32.326+00:00',NULL,NULL,NULL,1.79604577380965352057e+09);
INSERT INTO "wan_tasks" VALUES('cc4a57bd-115e-4927-a6fe-9cd8f7bbd6d9','f2820daa8a2b4f92041a9a197618562c4c1d9ee5126f9f8688f21584d02575b7',1,0,'stored',1,0,473000,'{"positivePrompt":"A kite 3","resolution":"480p"}','[{"video_uuid": "bec2884c-ba50-5907-a9fa-731e3f7076fe", "seed": 7, "uri": "out/videos/videos/f2/f2820daa8a2b4f92041a9a197618562c4c1d9ee5126f9f8688f21584d02575b7/cc4a57bd-115e-4927-a6fe-9cd8f7bbd6d9-1.mp4", "sha256": "becc9112ffde636139ad5bae2362023edb2be66db0d0c5b28652f66c8198ea8e"}]','44a5ae3e-7b98-431f-a4a9-4e14d08c5939','videos','row-3','row-3','','2026-11-30T13:35:28.809+00:00','2026-11-30T13:35:28.818+00:00','2026-11-30T13:35:31.628+00:00',NULL,NULL,NULL,1.79604577381002283092e+09);
INSERT INTO "wan_tasks" VALUES('65491d81-dd2f-4d8d-98c4-af8c0d56eb2c','53cac99f2d425e38d134166aa2eeef487bd571d530ea477f862ee8e5ee6798f6',1,0,'stored',1,0,473000,'{"positivePrompt":"A kite 4","resolution":"480p"}','[{"video_uuid": "afe2f3ee-4c5f-53cf-a90a-9257ce9d76a4", "seed": 7, "uri": "out/videos/videos/53/53cac99f2d425e38d134166aa2eeef487bd571d530ea477f862ee8e5ee6798f6/65491d81-dd2f-4d8d-98c4-af8c0d56eb2c-1.mp4", "sha256": "becc9112ffde636139ad5bae2362023edb2be66db0d0c5b28652f66c8198ea8e"}]','44a5ae3e-7b98-431f-a4a9-4e14d08c5939','videos','row-4','row-4','','2026-11-30T13:35:28.810+00:00','2026-11-30T13:35:28.827+00:00','2026-11-30T13:35:33.413+00:00',NULL,NULL,NULL,1.79604577381031656267e+09);
INSERT INTO "wan_tasks" VALUES('220f2034-b29e-4a66-8bf2-7f989537e512','8fa1b9826e434ccb8be66c1332c38ad1382911924de28fba4657b027f19f62e4',1,0,'stored',1,0,473000,'{"positivePrompt":"A kite 5","resolution":"480p"}','[{"video_uuid": "9504bb6e-9141-5c10-97b0-953737cf2d99", "seed": 7, "uri": "out/videos/videos/8f/8fa1b9826e434ccb8be66c1332c38ad1382911924de28fba4657b027f19f62e4/220f2034-b29e-4a66-8bf2-7f989537e512-1.mp4", "sha256": "becc9112ffde636139ad5bae2362023edb2be66db0d0c5b28652f66c8198ea8e"}]','44a5ae3e-7b98-431f-a4a9-4e14d08c5939','videos','row-5','row-5','','2026-11-30T13:35:28.810+00:00','2026-11-30T13:35:28.827+00:00','2026-11-30T13:35:32.685+00:00',NULL,NULL,NULL,1.7960457738106393814e+09);
INSERT INTO "wan_tasks" VALUES('e60ac4df-a12e-4fb6-b69e-33f59916800f','5f871bbf326ce83a8b0329559ca70d2d4ace94e651af38dbedfa9bfb613b7501',2,0,'stored',1,0,473000,'{"positivePrompt":"A kite 1","resolution":"480p"}','[{"video_uuid": "53b747d3-e8a1-51cf-8edf-13c9cc956882", "seed": 7, "uri": "out/videos/videos/5f/5f871bbf326ce83a8b0329559ca70d2d4ace94e651af38dbedfa9bfb613b7501/e60ac4df-a12e-4fb6-b69e-33f59916800f-1.mp4", "sha256": "becc9112ffde636139ad5bae2362023edb2be66db0d0c5b28652f66c8198ea8e"}]','44a5ae3e-7b98-431f-a4a9-4e14d08c5939','videos','row-1','row-1','','2026-11-30T13:35:30.849+00:00','2026-11-30T13:35:30.859+00:00','2026-11-30T13:35:33.304+00:00',NULL,NULL,NULL,1.79604577584988164907e+09);
INSERT INTO "wan_tasks" VALUES('72978ad0-083b-4694-bde5-3279528a5707','dce69846d84ba917cc2509e64951a4490b2ac6828cdd5fe58b89912466cfdb1c',1,0,'submitted',1,473000,0,'{"positivePrompt":"A boat 0","resolution":"720p"}','[]','e46f26ff-99e2-4720-9bd9-8efaa610c20b','videos','late-0','late-0','','2026-11-30T13:35:59.418+00:00','2026-11-30T13:35:59.467+00:00',NULL,NULL,NULL,'host-pid-4026531836.19758.99f752f5f085',1.7960458044392151833e+09);
INSERT INTO "wan_tasks" VALUES('37b08ada-d633-409b-9e37-61ca1f595a20','4fa10d3eed3d0e16e850362f1b422ab028216c0776aff8b4c9808a53f53faa43',1,0,'submitted',1,473000,0,'{"positivePrompt":"A boat 1","resolution":"720p"}','[]','e46f26ff-99e2-4720-9bd9-8efaa610c20b','videos','late-1','late-1','','2026-11-30T13:35:59.440+00:00','2026-11-30T13:35:59.475+00:00',NULL,NULL,NULL,'host-pid-4026531836.19758.99f752f5f085',1.79604580444044375424e+09);
INSERT INTO "wan_tasks" VALUES('8e6c5edb-ac90-4c52-8486-9d0010fec496','0f5e3a82870f1b684aed7baad2442f7e40ce372beaea705f1270836eb99bd7b9',1,0,'submitted',1,473000,0,'{"positivePrompt":"A boat 2","resolution":"720p"}','[]','e46f26ff-99e2-4720-9bd9-8efaa610c20b','videos','late-2','late-2','','2026-11-30T13:35:59.440+00:00','2026-11-30T13:35:59.475+00:00',NULL,NULL,NULL,'host-pid-4026531836.19758.99f752f5f085',1.79604580444082808496e+09);
INSERT INTO "wan_tasks" VALUES('7506241f-7df0-4b0c-9a1b-adfa76d9356f','c0a36c3358f8a49ca250efb6a6a843fa3611edd9ed4de4faffb6f77d8da7fe53',1,1,'stored',1,0,473000,'{"positivePrompt":"A simulated kite","resolution":"480p"}','[{"video_uuid": "7aca9c03-d868-4e65-97d6-132f15859360", "seed": 877168972, "uri": "out/videos/simulated/c0/c0a36c3358f8a49ca250efb6a6a843fa3611edd9ed4de4faffb6f77d8da7fe53/7506241f-7df0-4b0c-9a1b-adfa76d9356f-1.mp4", "sha256": "a7abd837bc4411f69b97a31fe571639f52d761c5d3fe36dad75da8020e6085a6"}]','cdc4e56c-0ea3-46a8-acf9-8b8a3782533d','videos','sim','sim','','2026-11-30T13:36:18.544+00:00','2026-11-30T13:36:18.555+00:00','2026-11-30T13:36:22.112+00:00',NULL,NULL,NULL,1.79604582354649472235e+09);
CREATE TABLE wan_untold (
	task_uuid VARCHAR(36) NOT NULL, 
	PRIMARY KEY (task_uuid)
);
CREATE TABLE wan_wakes (
	task_uuid VARCHAR(36) NOT NULL, 
	woken_at FLOAT NOT NULL, 
	PRIMARY KEY (task_uuid)
);
CREATE INDEX wan_tasks_owner ON wan_tasks (owner);
CREATE INDEX wan_tasks_fingerprint ON wan_tasks (fingerprint, is_simulated, attempt);
CREATE INDEX wan_tasks_state ON wan_tasks (state);
COMMIT;
