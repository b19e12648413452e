// Sees to it that whoever signs in has a row in `users`: the effect every app with Clerk has.
import { createContext, useContext, useEffect, useState, type ReactNode } from "react";
import { useConvexAuth, useMutation } from "convex/react";
import { api, type Id } from "./api";
import { useUser } from "./dev-clerk";
import { reasonOf } from "./errors";

interface StoredUser {
  /** True until the server has agreed to the sign-in and the row is there. */
  isLoading: boolean;
  isAuthenticated: boolean;
  userId: Id<"users"> | null;
  /** Why `users:store` failed, when it did. */
  error: string | null;
}

function useStoreUserEffect(): StoredUser {
  const { isLoading, isAuthenticated } = useConvexAuth();
  const { user } = useUser();
  const storeUser = useMutation(api.users.store);
  const [userId, setUserId] = useState<Id<"users"> | null>(null);
  const [error, setError] = useState<string | null>(null);

  useEffect(() => {
    if (!isAuthenticated || user === null) return;
    let current = true;
    console.log("🔄 UserSync: Attempting to sync user", { userId: user.subject, email: user.email, name: user.name });
    storeUser({}).then(
      (id) => {
        console.log(`✅ User synced successfully: ${id}`);
        if (current) setUserId(id);
      },
      (failure: unknown) => {
        console.error("❌ UserSync: the user could not be stored", failure);
        if (current) setError(reasonOf(failure));
      },
    );
    return () => {
      current = false;
      setUserId(null);
      setError(null);
    };
    // The id stands for the person: a new object for the same one is no new sign-in.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [isAuthenticated, storeUser, user?.subject]);

  return {
    isLoading: isLoading || (isAuthenticated && userId === null && error === null),
    isAuthenticated: isAuthenticated && userId !== null,
    userId,
    error,
  };
}

const UserSyncContext = createContext<StoredUser | null>(null);

/** Runs the effect once for the whole page. */
export function UserSync({ children }: { children: ReactNode }) {
  return <UserSyncContext value={useStoreUserEffect()}>{children}</UserSyncContext>;
}

export function useStoredUser(): StoredUser {
  const stored = useContext(UserSyncContext);
  if (stored === null) throw new Error("useStoredUser needs a <UserSync> above it");
  return stored;
}
