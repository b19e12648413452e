-- A store as a server of format 5 left it: five documents whose numbers fall, in a block.
BEGIN TRANSACTION;
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES('schema','{"schemaValidation":true,"tables":[{"documentType":{"type":"object","value":{"balance":{"fieldType":{"type":"number"},"optional":false},"id":{"fieldType":{"type":"number"},"optional":false}}},"indexes":[{"fields":["id"],"indexDescriptor":"by_account_id"}],"searchIndexes":[],"stagedDbIndexes":[],"stagedSearchIndexes":[],"stagedVectorIndexes":[],"tableName":"accounts","vectorIndexes":[]},{"documentType":{"type":"object","value":{"body":{"fieldType":{"type":"string"},"optional":false},"number":{"fieldType":{"type":"number"},"optional":false}}},"indexes":[{"fields":["number"],"indexDescriptor":"by_number"}],"searchIndexes":[],"stagedDbIndexes":[],"stagedSearchIndexes":[],"stagedVectorIndexes":[],"tableName":"documents","vectorIndexes":[]}]}');
INSERT INTO meta VALUES('table/10001','{"indexes":[{"fields":["id"],"name":"by_account_id","number":2,"staged":false}],"name":"accounts","nextIndex":3}');
INSERT INTO meta VALUES('table/10002','{"indexes":[{"fields":["number"],"name":"by_number","number":2,"staged":false}],"name":"documents","nextIndex":3}');
CREATE TABLE outcomes (
        session BLOB NOT NULL, last INTEGER NOT NULL, ts INTEGER NOT NULL, first INTEGER NOT NULL, outcomes BLOB NOT NULL,
        PRIMARY KEY (session, last, ts)
    ) WITHOUT ROWID;
CREATE TABLE position (one INTEGER PRIMARY KEY CHECK (one = 1), base INTEGER NOT NULL, log BLOB);
INSERT INTO position VALUES(1,1795381597173205907,NULL);
CREATE TABLE document_blocks (
        first BLOB NOT NULL UNIQUE, keys BLOB NOT NULL, json TEXT NOT NULL, table_number INTEGER NOT NULL
    );
INSERT INTO document_blocks VALUES(X'0000271200000000',X'95df642c050010001a2051513ccf638d8fd1b2b9440f512bf03f3ccf638d8fd1b2b9440f3db5e09812666354e2033e524f04a722988213cf3eda81894880401ea6b03f52e2dafdd834700da46d000000412bd8ad0d0c3251da000000343d6d20c22d405447010000e445374f94178fdab40100008bbab1f89b193e6c210200009d704d99200612bb','[{"_creationTime":1795381597132.9617,"_id":"j971m82ha4ycyrwdhz8v5ea41x8jpm87","body":"xxxxxxxx","number":4.0},{"_creationTime":1795381597147.3672,"_id":"j971m82ha4yvbr4r29k66n720d8jqdq6","body":"xxxxxxxx","number":3.0},{"_creationTime":1795381597157.1443,"_id":"j971m82ha4z54kr4mwh9h0gksx8jqr7b","body":"xxxxxxxx","number":2.0},{"_creationTime":1795381597165.6565,"_id":"j971m82ha4zdn0c9920407n6p18jqnq9","body":"xxxxxxxx","number":1.0},{"_creationTime":1795381597173.1802,"_id":"j971m82ha4zn5rptzqc38w0dmh8jqbwt","body":"xxxxxxxx","number":0.0}]',10002);
CREATE TABLE entry_blocks (first BLOB NOT NULL UNIQUE, keys BLOB NOT NULL);
INSERT INTO entry_blocks VALUES(X'0000271200000001',X'6b6a33bf050019000dc27a2051513ccf631a2051513ccf638d8fd1b2b9440f512bc0e17f003ccf633ccf638d8fd1b2b9440f3db5e03db5e09812666354e2033e524f3e524f04a722988213cf3eda813eda81894880401ea6b03f52e23f52e2dafdd834700da4');
INSERT INTO entry_blocks VALUES(X'0000271200000002',X'b661eeca050022000d80000000000000000dc27a2051513f52e21a2051513f52e2dafdd834700da4512b0680c3ff0080003f52e23f52e2dafdd834700da4bff03eda813eda81894880401ea6b0c0003e524f3e524f04a722988213cfc0083db5e03db5e09812666354e203c0103ccf633ccf638d8fd1b2b9440f');
CREATE INDEX outcomes_by_ts ON outcomes (ts);
CREATE VIEW browse AS SELECT
        (SELECT json_extract(value, '$.name') FROM meta WHERE name = 'table/' || table_number) AS table_name,
        json_extract(document.value, '$._id') AS id, document.value AS json
    FROM document_blocks, json_each(document_blocks.json) AS document;
COMMIT;
PRAGMA application_id = 1398361676; PRAGMA user_version = 5;
