import Foundation

struct Message: Codable, Identifiable, Equatable {
    let id: UUID
    let role: Role
    var content: String

    enum Role: String, Codable { case user, assistant, system }
}

@MainActor
final class Session: ObservableObject {
    @Published private(set) var messages: [Message] = []
    @Published var isStreaming = false

    private let client: MessagesClient
    private var task: Task<Void, Never>?

    init(client: MessagesClient = .shared) {
        self.client = client
    }

    func send(_ text: String) {
        guard !text.trimmingCharacters(in: .whitespaces).isEmpty, !isStreaming else { return }
        messages.append(Message(id: UUID(), role: .user, content: text))
        isStreaming = true
        task = Task { [weak self] in
            defer { self?.isStreaming = false }
            do {
                for try await delta in try await self?.client.stream(self?.messages ?? []) ?? .empty {
                    self?.append(delta)
                }
            } catch is CancellationError {
                return
            } catch {
                print("stream failed: \(error.localizedDescription)")
            }
        }
    }
}
