-- A store as a server of format 2 left it: five documents whose numbers fall.
BEGIN TRANSACTION;
CREATE TABLE position (one INTEGER PRIMARY KEY CHECK (one = 1), base INTEGER NOT NULL);
INSERT INTO position VALUES(1,1795357675799263226);
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES('schema','{"schemaValidation":true,"tables":[{"documentType":{"type":"object","value":{"balance":{"fieldType":{"type":"number"},"optional":false},"id":{"fieldType":{"type":"number"},"optional":false}}},"indexes":[{"fields":["id"],"indexDescriptor":"by_account_id"}],"searchIndexes":[],"stagedDbIndexes":[],"stagedSearchIndexes":[],"stagedVectorIndexes":[],"tableName":"accounts","vectorIndexes":[]},{"documentType":{"type":"object","value":{"body":{"fieldType":{"type":"string"},"optional":false},"number":{"fieldType":{"type":"number"},"optional":false}}},"indexes":[{"fields":["number"],"indexDescriptor":"by_number"}],"searchIndexes":[],"stagedDbIndexes":[],"stagedSearchIndexes":[],"stagedVectorIndexes":[],"tableName":"documents","vectorIndexes":[]}]}');
INSERT INTO meta VALUES('table/10001','{"indexes":[{"fields":["id"],"name":"by_account_id","number":2,"staged":false}],"name":"accounts","nextIndex":3}');
INSERT INTO meta VALUES('table/10002','{"indexes":[{"fields":["number"],"name":"by_number","number":2,"staged":false}],"name":"documents","nextIndex":3}');
CREATE TABLE log (ts INTEGER PRIMARY KEY, batch BLOB NOT NULL);
CREATE TABLE documents (table_number INTEGER NOT NULL, id BLOB NOT NULL, json TEXT NOT NULL, sum INTEGER);
INSERT INTO documents VALUES(10002,X'1a203a810cd07ae1cdaa70b74fec512b','{"_creationTime":1795357675725.0298,"_id":"j971m81tg46d0yq1spn71dtfxh8jprf6","body":"xxxxxxxx","number":4.0}',-1876379114798778006);
INSERT INTO documents VALUES(10002,X'1a203a810e4878f2ecd6959507c8512b','{"_creationTime":1795357675748.5293,"_id":"j971m81tg474gy7jxkb9b587s18jqk3z","body":"xxxxxxxx","number":3.0}',7687706778261063715);
INSERT INTO documents VALUES(10002,X'1a203a810ff38ed30ecf862810b5512b','{"_creationTime":1795357675775.2222,"_id":"j971m81tg47z73pk1v7rca0gpn8jp17r","body":"xxxxxxxx","number":2.0}',458396150295102543);
INSERT INTO documents VALUES(10002,X'1a203a8110c0ab1992c749458629512b','{"_creationTime":1795357675788.0417,"_id":"j971m81tg48c1arsjb3mjhc6558jpyxa","body":"xxxxxxxx","number":1.0}',6577689614586078329);
INSERT INTO documents VALUES(10002,X'1a203a811173b5bdba54b6715663512b','{"_creationTime":1795357675799.2317,"_id":"j971m81tg48q7ddxq9abcwapcd8jpd82","body":"xxxxxxxx","number":0.0}',-2546989814021229275);
CREATE TABLE entries (
        table_number INTEGER NOT NULL, index_number INTEGER NOT NULL, key BLOB NOT NULL, id BLOB NOT NULL,
        PRIMARY KEY (table_number, index_number, key)
    ) WITHOUT ROWID;
INSERT INTO entries VALUES(10002,1,X'0dc27a203a810cd07a106a3937316d383174673436643079713173706e37316474667868386a7072663600',X'1a203a810cd07ae1cdaa70b74fec512b');
INSERT INTO entries VALUES(10002,1,X'0dc27a203a810e4878106a3937316d383174673437346779376a786b6239623538377331386a716b337a00',X'1a203a810e4878f2ecd6959507c8512b');
INSERT INTO entries VALUES(10002,1,X'0dc27a203a810ff38e106a3937316d3831746734377a3733706b3176377263613067706e386a7031377200',X'1a203a810ff38ed30ecf862810b5512b');
INSERT INTO entries VALUES(10002,1,X'0dc27a203a8110c0ab106a3937316d38317467343863316172736a62336d6a6863363535386a7079786100',X'1a203a8110c0ab1992c749458629512b');
INSERT INTO entries VALUES(10002,1,X'0dc27a203a811173b5106a3937316d383174673438713764647871396162637761706364386a7064383200',X'1a203a811173b5bdba54b6715663512b');
INSERT INTO entries VALUES(10002,2,X'0d80000000000000000dc27a203a811173b5106a3937316d383174673438713764647871396162637761706364386a7064383200',X'1a203a811173b5bdba54b6715663512b');
INSERT INTO entries VALUES(10002,2,X'0dbff00000000000000dc27a203a8110c0ab106a3937316d38317467343863316172736a62336d6a6863363535386a7079786100',X'1a203a8110c0ab1992c749458629512b');
INSERT INTO entries VALUES(10002,2,X'0dc0000000000000000dc27a203a810ff38e106a3937316d3831746734377a3733706b3176377263613067706e386a7031377200',X'1a203a810ff38ed30ecf862810b5512b');
INSERT INTO entries VALUES(10002,2,X'0dc0080000000000000dc27a203a810e4878106a3937316d383174673437346779376a786b6239623538377331386a716b337a00',X'1a203a810e4878f2ecd6959507c8512b');
INSERT INTO entries VALUES(10002,2,X'0dc0100000000000000dc27a203a810cd07a106a3937316d383174673436643079713173706e37316474667868386a7072663600',X'1a203a810cd07ae1cdaa70b74fec512b');
CREATE TABLE outcomes (
        session BLOB NOT NULL, last INTEGER NOT NULL, ts INTEGER NOT NULL, first INTEGER NOT NULL, outcomes BLOB NOT NULL,
        PRIMARY KEY (session, last, ts)
    ) WITHOUT ROWID;
CREATE UNIQUE INDEX documents_by_id ON documents (table_number, id);
CREATE INDEX outcomes_by_ts ON outcomes (ts);
CREATE VIEW browse AS SELECT
        (SELECT json_extract(value, '$.name') FROM meta WHERE name = 'table/' || table_number) AS table_name,
        json_extract(json, '$._id') AS id, json FROM documents;
COMMIT;
PRAGMA application_id = 1398361676; PRAGMA user_version = 2;
