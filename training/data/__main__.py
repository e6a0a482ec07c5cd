from training.data import main

if __name__ == "__main__":
    main()
