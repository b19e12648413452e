// Functions: the tree of modules, what a function takes and gives, a way to run it as anybody, and its latest calls.
import { useMemo, useState } from "react";
import { useLive } from "../answers";
import { clearOnEscape, useRowKeys } from "../keyboard";
import { Empty, KindBadge, PageHead, Problem } from "../parts/small";
import { addressOf, follow, go, useRoute } from "../route";
import { system, type FunctionSpec } from "../system";
import { describe, validatorOf, type Validator } from "../validators";
import { RecentCalls } from "./functions/RecentCalls";
import { Runner } from "./functions/Runner";

export type FunctionType = FunctionSpec["functionType"];

export interface FunctionInfo {
  /** `dir/module:name`, or `GET /path`. */
  path: string;
  module: string;
  name: string;
  type: FunctionType;
  isInternal: boolean;
  args: Validator;
  returns: Validator;
}

export function FunctionsPage() {
  const { subject } = useRoute();
  const { value, failure } = useLive(system.functions, {});
  const functions = useMemo(() => value?.map(infoOf).sort((a, b) => (a.path < b.path ? -1 : 1)), [value]);
  if (failure !== null) return <Problem title="The functions could not be read">{failure}</Problem>;
  if (functions === undefined) return <PageHead title="Functions" />;
  if (functions.length === 0) {
    return (
      <>
        <PageHead title="Functions" />
        <Empty title="This application has no functions">
          Write one under <code>#[query]</code> and name it in <code>functions![…]</code>.
        </Empty>
      </>
    );
  }
  const chosen = functions.find(({ path }) => path === subject);
  return (
    <div className="split">
      <Tree functions={functions} current={chosen?.path} />
      <div className="split-main">
        {chosen === undefined ? (
          <>
            <PageHead title="Functions" />
            <Empty title={subject === null ? "Choose a function" : `There is no function ${subject}`}>
              Its arguments, a way to run it, and its latest calls are shown here.
            </Empty>
            <RecentCalls path={null} />
          </>
        ) : (
          <Detail key={chosen.path} info={chosen} />
        )}
      </div>
    </div>
  );
}

function infoOf(spec: FunctionSpec): FunctionInfo {
  const path = spec.identifier?.replace(".js:", ":") ?? `${spec.method ?? "ANY"} ${spec.path ?? "/"}`;
  const colon = spec.identifier === undefined ? -1 : path.indexOf(":");
  return {
    path,
    module: colon < 0 ? "HTTP" : path.slice(0, colon),
    name: colon < 0 ? path : path.slice(colon + 1),
    type: spec.functionType,
    isInternal: spec.visibility?.kind === "internal",
    args: validatorOf(spec.args),
    returns: validatorOf(spec.returns),
  };
}

function Tree({ functions, current }: { functions: FunctionInfo[]; current: string | undefined }) {
  const [words, setWords] = useState("");
  const { ref, onKeyDown } = useRowKeys<HTMLElement>();
  const shown = functions.filter(({ path }) => path.toLowerCase().includes(words.trim().toLowerCase()));
  const modules = Map.groupBy(shown, ({ module }) => module);
  return (
    <nav className="split-list" aria-label="Functions" ref={ref} onKeyDown={onKeyDown}>
      <label className="only-narrow select-row">
        <span className="unseen">Function</span>
        <select value={current ?? ""} onChange={(event) => go(addressOf("functions", event.target.value))}>
          {current === undefined && <option value="">Choose a function</option>}
          {functions.map(({ path }) => (
            <option key={path}>{path}</option>
          ))}
        </select>
      </label>
      <div className="only-wide">
        <input
          data-filter
          type="search"
          aria-label="Find a function"
          placeholder="Find a function"
          value={words}
          onChange={(event) => setWords(event.target.value)}
          onKeyDown={clearOnEscape(() => setWords(""))}
        />
        {shown.length === 0 && <p className="soft pad">No function is called so.</p>}
        {[...modules].map(([module, inside]) => (
          <section key={module}>
            <h2 className="list-title">{module}</h2>
            <ul>
              {inside.map(({ path, name, type, isInternal }) => (
                <li key={path}>
                  <a data-row href={addressOf("functions", path)} onClick={follow} aria-current={path === current ? "page" : undefined}>
                    <KindBadge kind={type} />
                    <span className="cut">{name}</span>
                    {isInternal && <span className="tag">internal</span>}
                  </a>
                </li>
              ))}
            </ul>
          </section>
        ))}
      </div>
    </nav>
  );
}

function Detail({ info }: { info: FunctionInfo }) {
  const kind = { Query: "query", Mutation: "mutation", Action: "action", HttpAction: "HTTP action" }[info.type];
  return (
    <>
      <PageHead
        title={
          <>
            <KindBadge kind={info.type} /> <span className="cut">{info.path}</span>
          </>
        }
      >
        <span className="soft">
          {info.isInternal ? "internal " : ""}
          {kind}
        </span>
      </PageHead>
      <div className="detail">
        <section className="panel" aria-label="Signature">
          <dl className="signature">
            <div>
              <dt>Takes</dt>
              <dd>
                <pre>{describe(info.args)}</pre>
              </dd>
            </div>
            <div>
              <dt>Gives</dt>
              <dd>
                <pre>{describe(info.returns)}</pre>
              </dd>
            </div>
          </dl>
        </section>
        {info.type !== "HttpAction" && <Runner info={info} />}
        <RecentCalls path={info.path} />
      </div>
    </>
  );
}
