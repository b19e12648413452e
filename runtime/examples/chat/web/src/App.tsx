// The page: a bar on top, the messages, and the people beside them.
import { useEffect, useState } from "react";
import { clearRefusal } from "./client-log";
import { useAuth } from "./dev-clerk";
import { ErrorPanel } from "./errors";
import { Messages } from "./Messages";
import { Footer } from "./Footer";
import { People, PeopleCount } from "./People";
import { TopBar } from "./TopBar";

type Tab = "messages" | "people";

export function App() {
  const { sessionId } = useAuth();
  const [tab, setTab] = useState<Tab>("messages");
  // A refusal belongs to one sign-in.
  useEffect(clearRefusal, [sessionId]);

  return (
    <div className="page" data-tab={tab}>
      <TopBar />
      <nav className="tabs" aria-label="Sections">
        <TabButton name="messages" current={tab} choose={setTab}>
          Messages
        </TabButton>
        <TabButton name="people" current={tab} choose={setTab}>
          People
        </TabButton>
      </nav>
      <main className="columns">
        <section className="panel room" aria-label="Messages">
          <ErrorPanel title="The messages could not be read">
            <Messages />
          </ErrorPanel>
          <Footer />
        </section>
        <aside className="panel people" aria-labelledby="people-title">
          <header className="panel-head">
            <h2 id="people-title">People</h2>
            <ErrorPanel title="">
              <PeopleCount />
            </ErrorPanel>
          </header>
          <ErrorPanel title="The people could not be read">
            <People />
          </ErrorPanel>
        </aside>
      </main>
    </div>
  );
}

function TabButton(props: { name: Tab; current: Tab; choose: (tab: Tab) => void; children: string }) {
  const { name, current, choose, children } = props;
  return (
    <button type="button" className="tab" aria-pressed={name === current} onClick={() => choose(name)}>
      {children}
    </button>
  );
}
