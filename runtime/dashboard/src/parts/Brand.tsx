// The name, with its sign.
export function Brand() {
  return (
    <span className="brand">
      <img src="/dashboard/icon.svg" alt="" width="26" height="26" />
      <span>Syncline</span>
    </span>
  );
}
