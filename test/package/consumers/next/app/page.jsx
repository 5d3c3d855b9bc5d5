export default function Page() {
  return <p>See /api/embed</p>
}
