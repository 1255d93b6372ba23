//! What tower layers are tested with: strict mocks, adversarial bodies, cancellation at every await.
