// The live table of everybody who ever signed in.
import { useQuery } from "convex/react";
import { api, type Doc } from "./api";
import { Avatar } from "./Avatar";
import { shortly } from "./time";
import { useStoredUser } from "./user-sync";

export function PeopleCount() {
  const users = useQuery(api.users.list, {});
  return users === undefined ? null : <span className="count">{users.length}</span>;
}

export function People() {
  const users = useQuery(api.users.list, {});
  if (users === undefined) return <p className="quiet">Loading…</p>;
  if (users.length === 0) return <p className="quiet">Nobody has signed in yet. Be the first.</p>;
  return (
    <div className="scroll">
      <table className="users" data-testid="users">
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col" className="joined">
              Joined
            </th>
          </tr>
        </thead>
        <tbody>
          {users.map((user) => (
            <Row key={user._id} user={user} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({ user }: { user: Doc<"users"> }) {
  const { userId } = useStoredUser();
  return (
    <tr data-user={user._id}>
      <td>
        <div className="who">
          <Avatar name={user.name} />
          <div>
            <span className="who-name">{user.name}</span>
            {user._id === userId && <span className="you">you</span>}
            <span className="who-email">{user.email ?? "no address"}</span>
          </div>
        </div>
      </td>
      <td className="joined">
        <time dateTime={new Date(user._creationTime).toISOString()}>{shortly(user._creationTime)}</time>
      </td>
    </tr>
  );
}
