-- A store as a server of format 4 left it: five documents whose numbers fall.
BEGIN TRANSACTION;
CREATE TABLE documents (
            row INTEGER PRIMARY KEY, table_number INTEGER NOT NULL, id BLOB NOT NULL, sum INTEGER NOT NULL, json TEXT NOT NULL
        );
INSERT INTO "documents" VALUES(1,10002,X'1A2051513CCF638D8FD1B2B9440F512B',5850752118798428993,'{"_creationTime":1795381597132.9617,"_id":"j971m82ha4ycyrwdhz8v5ea41x8jpm87","body":"xxxxxxxx","number":4.0}');
INSERT INTO "documents" VALUES(2,10002,X'1A2051513DB5E09812666354E203512B',6070902609486363956,'{"_creationTime":1795381597147.3672,"_id":"j971m82ha4yvbr4r29k66n720d8jqdq6","body":"xxxxxxxx","number":3.0}');
INSERT INTO "documents" VALUES(3,10002,X'1A2051513E524F04A722988213CF512B',-2697911726020016668,'{"_creationTime":1795381597157.1443,"_id":"j971m82ha4z54kr4mwh9h0gksx8jqr7b","body":"xxxxxxxx","number":2.0}');
INSERT INTO "documents" VALUES(4,10002,X'1A2051513EDA81894880401EA6B0512B',7799699762335300235,'{"_creationTime":1795381597165.6565,"_id":"j971m82ha4zdn0c9920407n6p18jqnq9","body":"xxxxxxxx","number":1.0}');
INSERT INTO "documents" VALUES(5,10002,X'1A2051513F52E2DAFDD834700DA4512B',-4966900701955526499,'{"_creationTime":1795381597173.1802,"_id":"j971m82ha4zn5rptzqc38w0dmh8jqbwt","body":"xxxxxxxx","number":0.0}');
CREATE TABLE entries (key BLOB PRIMARY KEY, row INTEGER) WITHOUT ROWID;
INSERT INTO "entries" VALUES(X'00002712000000010DC27A2051513CCF631A2051513CCF638D8FD1B2B9440F512B',1);
INSERT INTO "entries" VALUES(X'00002712000000010DC27A2051513DB5E01A2051513DB5E09812666354E203512B',2);
INSERT INTO "entries" VALUES(X'00002712000000010DC27A2051513E524F1A2051513E524F04A722988213CF512B',3);
INSERT INTO "entries" VALUES(X'00002712000000010DC27A2051513EDA811A2051513EDA81894880401EA6B0512B',4);
INSERT INTO "entries" VALUES(X'00002712000000010DC27A2051513F52E21A2051513F52E2DAFDD834700DA4512B',5);
INSERT INTO "entries" VALUES(X'00002712000000020D80000000000000000DC27A2051513F52E21A2051513F52E2DAFDD834700DA4512B',5);
INSERT INTO "entries" VALUES(X'00002712000000020DBFF00000000000000DC27A2051513EDA811A2051513EDA81894880401EA6B0512B',4);
INSERT INTO "entries" VALUES(X'00002712000000020DC0000000000000000DC27A2051513E524F1A2051513E524F04A722988213CF512B',3);
INSERT INTO "entries" VALUES(X'00002712000000020DC0080000000000000DC27A2051513DB5E01A2051513DB5E09812666354E203512B',2);
INSERT INTO "entries" VALUES(X'00002712000000020DC0100000000000000DC27A2051513CCF631A2051513CCF638D8FD1B2B9440F512B',1);
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "meta" VALUES('schema','{"schemaValidation":true,"tables":[{"documentType":{"type":"object","value":{"balance":{"fieldType":{"type":"number"},"optional":false},"id":{"fieldType":{"type":"number"},"optional":false}}},"indexes":[{"fields":["id"],"indexDescriptor":"by_account_id"}],"searchIndexes":[],"stagedDbIndexes":[],"stagedSearchIndexes":[],"stagedVectorIndexes":[],"tableName":"accounts","vectorIndexes":[]},{"documentType":{"type":"object","value":{"body":{"fieldType":{"type":"string"},"optional":false},"number":{"fieldType":{"type":"number"},"optional":false}}},"indexes":[{"fields":["number"],"indexDescriptor":"by_number"}],"searchIndexes":[],"stagedDbIndexes":[],"stagedSearchIndexes":[],"stagedVectorIndexes":[],"tableName":"documents","vectorIndexes":[]}]}');
INSERT INTO "meta" VALUES('table/10001','{"indexes":[{"fields":["id"],"name":"by_account_id","number":2,"staged":false}],"name":"accounts","nextIndex":3}');
INSERT INTO "meta" VALUES('table/10002','{"indexes":[{"fields":["number"],"name":"by_number","number":2,"staged":false}],"name":"documents","nextIndex":3}');
CREATE TABLE outcomes (
        session BLOB NOT NULL, last INTEGER NOT NULL, ts INTEGER NOT NULL, first INTEGER NOT NULL, outcomes BLOB NOT NULL,
        PRIMARY KEY (session, last, ts)
    ) WITHOUT ROWID;
CREATE TABLE position (one INTEGER PRIMARY KEY CHECK (one = 1), base INTEGER NOT NULL, log BLOB);
INSERT INTO "position" VALUES(1,1795381597173205907,NULL);
CREATE INDEX outcomes_by_ts ON outcomes (ts);
CREATE UNIQUE INDEX document_rows ON documents (table_number, id);
CREATE VIEW browse AS SELECT
        (SELECT json_extract(value, '$.name') FROM meta WHERE name = 'table/' || table_number) AS table_name,
        json_extract(json, '$._id') AS id, json FROM documents;
COMMIT;
PRAGMA application_id = 1398361676; PRAGMA user_version = 4;
